"""Digits by the standard error."""

import pytest

from vae_exp.results.numbers import shown


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
