"""Digits by the standard error."""

import pytest

from vae_exp.results.numbers import alone, shown


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-118.38412, 0.3141, "-118.4 ± 0.3"),
        (-118.38412, 0.1449, "-118.38 ± 0.14"),
        (965.88, 31.7, "966 ± 32"),
        (0.013612, 0.00116, "0.0136 ± 0.0012"),
        (-118.38412, 0.0996, "-118.38 ± 0.10"),
        (-118.38412, None, "-118.38"),
        (-118.38412, 0.0, "-118.38"),
        (-1.23456e9, 3.0, "-1.23e+09"),
        (float("nan"), 1.0, "nan"),
    ],
)
def test_a_value_has_as_many_digits_as_its_error_allows(value, error, text):
    assert shown(value, error) == text


@pytest.mark.parametrize(("error", "text"), [(0.3141, "0.3"), (0.00449, "0.004"), (31.7, "32"), (None, "?")])
def test_an_error_alone_has_the_digits_that_it_has_beside_its_value(error, text):
    assert alone(error) == text
