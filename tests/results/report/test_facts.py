"""The numbers in the head of a run's page."""

import pytest
from of_the_paper import MNIST

from vae_exp.figures import published
from vae_exp.results.jobs import Group, Job
from vae_exp.results.report.facts import facts, gap, gap_of, paper
from vae_exp.results.report.run import charts

FIGURE_2 = MNIST | {
    "architecture.latent_dim": 20,
    "objective": "sgvb_b",
    "posterior": "diagonal",
    "prior": "standard",
    "samples": 1_000_000,
}
"""A run that can be compared with a curve of the paper."""


def with_metric(name, train, test, errors=None):
    found = {f"train/{name}": train, f"test/{name}": test}
    return found | (
        {} if errors is None else {f"{key}_standard_error": e for key, e in zip(found, errors, strict=True)}
    )


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (with_metric("bound", -100.0, -104.0, (0.3, 0.4)), {"gap, train − test": "4.0 ± 0.5"}),
        (with_metric("nll", 60.0, 61.5, (0.03, 0.04)), {"gap, test − train": "1.50 ± 0.05"}),
        (with_metric("error", 0.01, 0.03, (0.003, 0.004)), {"gap, test − train, %": "2.0 ± 0.5"}),
        (with_metric("bound", -100.0, -104.0), {"gap, train − test": "4.00"}),
        (with_metric("bound", None, -104.0), {}),
    ],
)
def test_the_gap_is_positive_if_the_model_overfits_and_its_error_is_that_of_both_splits(results, expected):
    assert gap(results) == expected


def test_the_first_fact_is_the_test_split_with_its_error():
    found = facts(with_metric("bound", -100.0, -104.0, (0.3, 0.4)) | {"samples": 5, "budget": 5, "bounds": "log p(x)"})
    assert next(iter(found.items())) == ("test/bound, nats per image", "-104.0 ± 0.4")
    assert found["samples"] == 5
    assert "budget" not in found


def test_the_papers_value_is_beside_the_run_that_can_be_compared(tmp_path):
    curve = published.curve(2, "mnist", 20, "aevb", "test")
    job = Job("", tmp_path, {}, FIGURE_2 | with_metric("bound", -118.0, curve.at(1_000_000) - 2), [])
    assert paper(job) == {"test/bound of the paper": f"{curve.at(1_000_000):.1f} (this run -2.0)"}
    assert paper(Job("", tmp_path, {}, job.results | {"samples": 1000}, [])) == {}
    assert paper(Job("", tmp_path, {}, job.results | {"architecture.latent_dim": 4}, [])) == {}


def test_the_papers_curve_is_in_the_chart_of_the_bound_as_far_as_the_run_reaches(tmp_path):
    rows = [{"samples": n, **with_metric("bound", -120.0, -121.0 + n / 1e6), "test/kl": n} for n in (10_000, 1_000_000)]
    job = Job("", tmp_path, {}, FIGURE_2 | rows[-1], rows)
    bound, kl = charts(job)
    theirs = {one.split: [nats for _, nats, _ in one.points] for one in bound.series if one.published}
    curve = published.curve(2, "mnist", 20, "aevb", "test")
    assert theirs["test"] == list(curve.nats[: sum(n <= 1_000_000 for n in curve.samples)])
    assert set(theirs) == {"train", "test"}
    assert [one.published for one in kl.series] == [False]
    assert not [one for chart in charts(Job("", tmp_path, {}, rows[-1], rows)) for one in chart.series if one.published]


def test_what_never_changes_and_what_the_machine_did_is_in_no_chart(tmp_path):
    names = ("lr", "seconds", "evaluation_seconds", "steps_per_second", "train/images")
    rows = [{"samples": n, "test/bound": n, "test/active_units": 3, **dict.fromkeys(names, n)} for n in (10, 100)]
    rows = [row | {"lr": 0.1} for row in rows]
    assert [chart.title for chart in charts(Job("", tmp_path, {}, rows[-1], rows))] == ["bound"]
    changing = [row | {"lr": row["samples"]} for row in rows]
    assert [chart.title for chart in charts(Job("", tmp_path, {}, rows[-1], changing))] == ["bound", "lr"]


def test_the_gap_of_several_seeds_has_their_standard_error(tmp_path):
    jobs = [Job("", tmp_path, {}, with_metric("bound", -100.0, test, (3.0, 4.0)), []) for test in (-103.0, -105.0)]
    assert gap_of(Group(jobs)) == "4.0 ± 1.0"
    assert gap_of(Group(jobs[:1])) == "3"  # the digits that the standard error over the images allows
    assert gap_of(Group([Job("", tmp_path, {}, {"test/bound": -1.0}, [])])) == ""
