"""Differences of rows over their seeds, against scipy's own tests."""

import pytest
from scipy.stats import ttest_ind, ttest_rel

from vae_exp.results.comparison.differences import difference
from vae_exp.results.comparison.rows import Row
from vae_exp.results.jobs import Group, Job

BASELINE = [-104.0, -105.5, -103.2, -104.6]
BETTER = [-103.1, -104.9, -102.0, -103.3]


@pytest.fixture
def row(tmp_path):
    def made(bounds, seeds=None):
        results = [{"status": "completed", "test/bound": bound} for bound in bounds]
        seeds = seeds or range(len(bounds))
        return Row(
            "", Group(Job("", tmp_path, {}, r | {"seed": s}, []) for r, s in zip(results, seeds, strict=True)), {}
        )

    return made


def test_runs_of_the_same_seeds_are_paired(row):
    found = difference("test/bound", row(BETTER), row(BASELINE))
    expected = ttest_rel(BETTER, BASELINE)
    assert (found.test, found.n) == ("paired", 4)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.mean / found.error == pytest.approx(expected.statistic)


@pytest.mark.parametrize("seeds", [[0, 1, 2, 4], [0, 1, 2]], ids=str)
def test_other_seeds_are_compared_by_the_test_of_welch(row, seeds):
    theirs = BASELINE[: len(seeds)]
    found = difference("test/bound", row(BETTER), row(theirs, seeds))
    expected = ttest_ind(BETTER, theirs, equal_var=False)
    assert (found.test, found.n, found.baseline_n) == ("Welch", 4, len(seeds))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.mean / found.error == pytest.approx(expected.statistic)


def test_one_run_has_a_difference_but_no_error(row):
    found = difference("test/bound", row([-103.0]), row(BASELINE))
    assert found.mean == pytest.approx(-103.0 - sum(BASELINE) / 4)
    assert (found.error, found.test, found.p) == (None, "", None)


def test_without_a_spread_there_is_no_test(row):
    """The same runs again, for example of a copied sweep: 0/0 is no p-value."""
    found = difference("test/bound", row(BASELINE), row(BASELINE))
    assert (found.mean, found.error, found.test, found.p) == (0.0, 0.0, "paired", None)
