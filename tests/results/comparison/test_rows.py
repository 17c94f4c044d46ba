"""Which runs are one row, and which rows are ranked with each other."""

import json

import pytest
from variants import variant, without

from vae_exp.errors import RunError
from vae_exp.results.comparison.rows import compare

SMALL = {"architecture.latent_dim": 2}


@pytest.fixture
def make(trained, tmp_path):
    def made(name, settings=None, **results):
        return variant(trained, tmp_path / name, settings, **results)

    return made


def labels(comparison):
    return [(row.label, row.seeds, row.status) for row in comparison.rows]


def test_runs_that_differ_only_in_their_seeds_are_one_row(make):
    runs = [make(f"a{seed}", {"seed": seed}) for seed in (10, 9)] + [make("b", SMALL)]
    comparison = compare(runs)
    assert comparison.keys == ["architecture.latent_dim"]
    assert labels(comparison) == [
        ("latent_dim=20", ["9", "10"], "completed"),
        ("latent_dim=2", ["0"], "completed"),
    ]


def test_the_same_seed_again_is_another_row_and_the_same_run_again_is_not(make):
    first, again = make("a"), make("b")
    assert labels(compare([first, again, first])) == [
        (f"{first.parent.name}/a", ["0"], "completed"),
        (f"{first.parent.name}/b", ["0"], "completed"),
    ]


def test_a_run_that_is_not_completed_is_a_row_with_its_state_and_no_rank(make):
    diverged = make("bad", {"optimizer.lr": 9.0}, status="diverged", error="nan")
    killed = make("killed", SMALL)
    (killed / "results.json").unlink()
    comparison = compare([make("good"), diverged, killed])
    assert labels(comparison)[1:] == [
        ("latent_dim=20, lr=9.0 (diverged)", ["0"], "diverged"),
        ("latent_dim=2, lr=0.02 (killed)", ["0"], "killed"),
    ]
    assert comparison.rows[2].runs.mean("test/bound") is not None
    assert [row.status for rows in comparison.leagues("test/bound").values() for row in rows] == ["completed"]


@pytest.mark.parametrize(
    ("settings", "results"),
    [
        ({}, {"likelihood": "gaussian"}),
        ({}, {"dataset": "kmnist"}),
        ({}, {"bounds": "log p(x|y)"}),
        ({}, {"test/images": 50}),
        ({}, {"test/images": None}),
        ({"dataset.binarization": "dynamic"}, {}),
        ({"dataset.source.path": "another.npz"}, {}),
    ],
    ids=str,
)
def test_only_bounds_of_one_kind_on_the_same_images_are_ranked(make, settings, results):
    comparison = compare([make("a"), make("b", SMALL), make("c", settings, **results)])
    (best,) = comparison.best("test/bound")
    assert best[2] == 2


def test_a_missing_key_is_equal_to_nothing(make):
    old = [without(make(name, seed), "dataset.binarization") for name, seed in (("a", {"seed": 1}), ("b", {"seed": 2}))]
    comparison = compare([*old, make("c")])
    assert comparison.keys == ["dataset.binarization"]
    assert [row.seeds for row in comparison.rows] == [["1", "2"], ["0"]]
    assert [len(rows) for rows in comparison.leagues("test/bound").values()] == [1]


def test_the_nll_of_a_model_with_a_bound_ranks_nothing(make):
    plain = {"architecture": "ae", "bounds": None, "test/bound": None}
    comparison = compare([make("vae"), make("ae", **plain), make("ae2", SMALL, **plain)])
    (rows,) = comparison.leagues("test/nll").values()
    assert [row.label for row in rows] == ["ae, latent_dim=20", "ae, latent_dim=2"]


def test_what_evaluate_wrote_is_a_metric_and_ranked_for_the_same_images(make):
    for name, bound, images in (("a", -99.0, 100), ("b", -98.0, 100), ("c", -97.0, 40)):
        estimate = {"mean": bound, "standard_error": 0.5, "images": images}
        run = make(name, {"architecture.latent_dim": ord(name)})
        (run / "evaluation_test.json").write_text(json.dumps({"L_50": estimate, "active_units": 3}))
        comparison = compare([run.parent / other for other in "abc" if (run.parent / other).exists()])
    ((_, best, size),) = comparison.best("test/L_50")
    assert (best.runs[0].path.name, size) == ("b", 2)


def test_a_path_without_a_run_is_one_message(tmp_path):
    (tmp_path / "outputs").mkdir()
    with pytest.raises(RunError, match=f"{tmp_path}/output: no such run or sweep. Did you mean {tmp_path}/outputs?"):
        compare([tmp_path / "output"])
    with pytest.raises(RunError, match="outputs: holds neither a run nor a sweep"):
        compare([tmp_path / "outputs"])
