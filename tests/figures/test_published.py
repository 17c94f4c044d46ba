import pytest

from vae_exp.figures import published


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        ("mnist", {3: -138.0, 5: -124.2, 10: -108.5, 20: -104.8, 200: -103.9}),
        ("frey", {2: 823, 5: 1044, 10: 1170, 20: 1201}),
    ],
)
def test_published_bounds_at_ten_million_samples(dataset, values):
    for size, value in values.items():
        found = published.curve(2, dataset, size, "aevb", "test").at(10**7)
        assert found == pytest.approx(value, abs=1 if dataset == "frey" else 0.1)


def test_a_published_curve_is_linear_in_log_samples_and_ends():
    curve = published.Curve((100, 10_000), (1.0, 3.0))
    assert curve.at(1000) == pytest.approx(2)
    assert curve.at(100) == 1
    assert curve.at(99) is None
    assert curve.at(10_001) is None
    assert published.curve(2, "mnist", 4, "aevb", "test") is None
