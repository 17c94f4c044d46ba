"""The difference of two rows over their seeds, with its standard error and a test."""

import math
import statistics
from dataclasses import dataclass

from vae_exp.results.comparison.rows import Comparison, Row


@dataclass(frozen=True)
class Difference:
    """How much the mean of one row is above that of another.

    Attributes:
        metric: The metric.
        row: The row.
        baseline: The row that is subtracted: the first that can be compared with it.
        mean: The difference of the means.
        error: Its standard error over the seeds; None if a row has one run and there is nothing to estimate it from.
        n: The number of runs of the row.
        baseline_n: The number of runs of the baseline.
        test: `paired` if both rows have the same seeds, `Welch` if not; "" without a test.
        p: The two-sided p-value of the t-test; None without a test.
    """

    metric: str
    row: Row
    baseline: Row
    mean: float
    error: float | None
    n: int
    baseline_n: int
    test: str
    p: float | None


def differences(comparison: Comparison, metrics: list[str]) -> list[Difference]:
    """Compare every row with the first row that it can be compared with, for every metric that ranks."""
    return [
        difference(metric, row, rows[0])
        for metric in metrics
        for rows in comparison.leagues(metric).values()
        for row in rows[1:]
    ]


def difference(metric: str, row: Row, baseline: Row) -> Difference:
    """Subtract the mean of a baseline from the mean of a row.

    If both have the same seeds, the runs of each seed are a pair, and the t-test is that of the paired differences:
    t = d̄/(s_d/√n), with n − 1 degrees of freedom. Otherwise it is Welch's, which does not assume equal variances:
    t = (x̄ − ȳ)/√(s²_x/n + s²_y/m).

    Args:
        metric: A metric that both rows have.
        row: The row.
        baseline: The row that is subtracted.
    """
    from scipy.stats import ttest_ind, ttest_rel  # takes a second to import

    ours, theirs = row.values(metric) or [], baseline.values(metric) or []
    mean = statistics.fmean(ours) - statistics.fmean(theirs)
    sizes = len(ours), len(theirs)
    if min(sizes) < 2:
        return Difference(metric, row, baseline, mean, None, *sizes, "", None)
    if row.seeds == baseline.seeds:
        pairs = [one - other for one, other in zip(ours, theirs, strict=True)]
        error, test, name = statistics.stdev(pairs) / math.sqrt(len(pairs)), ttest_rel, "paired"
    else:
        error = math.sqrt(sum(statistics.variance(values) / len(values) for values in (ours, theirs)))
        test, name = lambda a, b: ttest_ind(a, b, equal_var=False), "Welch"
    if error <= 1e-12 * abs(mean):  # all differences are equal up to rounding: there is no spread to test with
        return Difference(metric, row, baseline, mean, error, *sizes, name, None)
    return Difference(metric, row, baseline, mean, error, *sizes, name, float(test(ours, theirs).pvalue))
