"""`hydra/sweeper=optuna`: what is proposed, what judges it, and that a stopped search goes on as if it had not."""

import json
import shutil
import sys
from statistics import fmean

import pytest
from pages import report_data
from tables import table

from hydra_plugins.vae_exp_optuna import OptunaSweeper, search_space
from vae_exp.config.overrides import parse_sweep

pytestmark = pytest.mark.usefixtures("few_digits")
OPTUNA = ["-m", "hydra/sweeper=optuna"]
QUICK = [
    "dataset.validation_size=50",
    "samples=300",
    "network.hidden_sizes=[8]",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.1",
]
SPACE = [
    "optimizer.lr=tag(log,interval(0.01,0.3))",
    "architecture.latent_dim=int(interval(2,9))",
    "network.activation=tanh,relu",
]
LATENTS = "architecture.latent_dim=2,3"
CLOCK = ("seconds", "evaluation_seconds", "steps_per_second", "train_seconds", "directory")


def numbers(directory):
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in table(directory)]


@pytest.mark.parametrize("values", ["tag(lg,interval(0.1,1))", "interval(1,0.1)", "tag(log,interval(-1,1))"])
def test_a_space_that_is_none_is_refused(run, tmp_path, values):
    outcome = run(*OPTUNA, f"optimizer.lr={values}", "hydra.sweep.dir=sweep", *QUICK)
    assert outcome.status == 1
    assert f"optimizer.lr={values}: " in outcome.err
    assert not list(tmp_path.glob("sweep/0"))


@pytest.mark.usefixtures("reports")
def test_settings_lie_in_the_space_and_the_best_is_that_of_the_validation_split(run, tmp_path):
    directory = tmp_path / "sweep"
    outcome = run(*OPTUNA, *SPACE, "hydra.sweeper.n_trials=4", "hydra.sweep.dir=sweep", *QUICK)
    assert outcome.status == 0, outcome.err
    rows = numbers(directory)
    assert [row["job"] for row in rows] == ["0", "1", "2", "3"]
    for row in rows:
        assert 0.01 <= float(row["optimizer.lr"]) <= 0.3
        assert len(row["optimizer.lr"]) < 9
        assert row["architecture.latent_dim"] in map(str, range(2, 10))
        assert row["network.activation"] in ("tanh", "relu")
        config = json.loads((directory / row["job"] / "results.json").read_text())
        assert config["optimizer.lr"] == float(row["optimizer.lr"])
    assert len({row["optimizer.lr"] for row in rows}) == 4
    best = max(rows, key=lambda row: float(row["validation/bound"]))
    assert f"The best is job {best['job']}, validation/bound {float(best['validation/bound']):.4f}" in outcome.out
    page = report_data(directory)
    facts = page["facts"]
    assert facts["best job"] == best["job"]
    assert float(facts["best validation/bound"].split(" ± ")[0]) == pytest.approx(
        float(best["validation/bound"]), abs=1
    )
    assert page["command"].startswith("python -m vae_exp -m hydra/sweeper=optuna ")
    assert "search" in [picture["name"] for picture in page["pictures"]]
    heads = {f"{split} bound, nats/image" for split in ("train", "validation", "test")}
    assert heads < set(page["summary"][0]["columns"])
    assert (directory / "search.png").stat().st_size > 10_000
    assert not (directory / "figure2.png").exists()


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not(run, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    words = [*OPTUNA, *SPACE, "hydra.sweeper.n_jobs=2", "+hydra.sweeper.sampler.n_startup_trials=2", *QUICK]
    assert run(*words, "hydra.sweeper.n_trials=3", f"hydra.sweep.dir={whole}").status == 0
    assert run(*words, "hydra.sweeper.n_trials=2", f"hydra.sweep.dir={stopped}").status == 0
    # job 0 was killed on its way, 1 had been proposed only
    (stopped / "0" / "results.json").unlink()
    shutil.rmtree(stopped / "1")
    outcome = run("-m", f"sweep.resume={stopped}", "hydra.sweeper.n_trials=3")
    assert outcome.status == 0, outcome.err
    assert json.loads((stopped / "proposals.json").read_text()) == json.loads((whole / "proposals.json").read_text())
    assert numbers(stopped) == numbers(whole)
    before = (stopped / "sweep.csv").read_text()
    assert run("-m", f"sweep.resume={stopped}", "hydra.sweeper.n_trials=3").status == 0
    assert (stopped / "sweep.csv").read_text() == before


def test_a_job_that_fails_leaves_the_search_to_go_on_and_is_tried_again(run, tmp_path):
    directory = tmp_path / "sweep"
    words = [
        "optimizer=sgd",
        "optimizer.lr=0.1,1e9",
        "weight_prior=0",
        "hydra.sweeper.n_trials=3",
        "hydra.sweep.dir=sweep",
    ]
    outcome = run(*OPTUNA, *words, *QUICK)
    assert outcome.status == 1
    status = {row["job"]: (row["status"], row["optimizer.lr"]) for row in numbers(directory)}
    failed = [job for job, (_, lr) in status.items() if float(lr) == 1e9]
    assert 0 < len(failed) < 3
    assert all(ending == ("diverged" if job in failed else "completed") for job, (ending, _) in status.items())
    assert f"{len(failed)} of 3 jobs failed" in outcome.err
    assert f"sweep.resume={directory.name}" in outcome.err
    again = run("-m", "sweep.resume=sweep", "+trainer.gradient_clip_val=1e-12")
    assert again.status == 0, again.err
    assert {row["status"] for row in numbers(directory)} == {"completed"}


def test_what_is_proposed_learns_from_what_is_known_and_what_diverged():
    sampler = {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 5}
    sweeper = OptunaSweeper(sampler, n_trials=40)
    overrides = parse_sweep(None, ["samples=10", "x=interval(-10,10)", "+c=a,b"])
    known = []
    for number in range(40):
        (values,) = sweeper.propose(overrides, known, number)
        x, c = float(values["x"]), values["+c"]
        score = None if x > 8 else -((x - 3) ** 2) - (5 if c == "b" else 0)
        known.append((values, score))
    late = [values for values, _ in known[20:]]
    assert sum(values["+c"] == "a" for values in late) > 15
    assert sum(score is None for _, score in known[20:]) <= 1
    assert max(score for _, score in known if score is not None) > -0.3
    assert fmean(float(values["x"]) for values in late) == pytest.approx(3, abs=2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["architecture.latent_dim=2"], ["nothing to search", "interval"]),
        ([LATENTS, "dataset.validation_size=0"], ["dataset.validation_size=10000"]),
        ([LATENTS, "callbacks.evaluate=null"], ["callbacks.evaluate=null"]),
        (
            ["architecture.latent_dim=2,3", "hydra.sweeper.metric=test/bound"],
            ["hydra.sweeper.metric=test/bound", "validation/bound"],
        ),
        ([LATENTS, "hydra.sweeper.n_trials=0"], ["hydra.sweeper.n_trials=0", "greater than 0"]),
        ([LATENTS, "hydra.sweeper.trials=5"], ["hydra.sweeper.trials", "hydra.sweeper.n_trials"]),
        ([LATENTS, "hydra.sweeper.sampler=TPE"], ["hydra.sweeper.sampler=TPE", "dictionary"]),
        (
            ["architecture.latent_dim=2,3", "hydra.sweeper.sampler._target_=optuna.samplers.TPE"],
            ["optuna.samplers.TPE"],
        ),
        (["architecture.latent_dim=interval(2,9)"], ["architecture.latent_dim", "int(interval(2,50))"]),
        (["optimizer.lr=interval(0.3,0.1)"], ["optimizer.lr=interval(0.3,0.1)", "low"]),
        (["optimizer.l=interval(0.1,0.3)"], ["optimizer.l", "optimizer.lr"]),
    ],
)
def test_mistakes_are_one_message_before_anything_starts(run, tmp_path, words, told):
    outcome = run(*OPTUNA, *QUICK, *words, "hydra.sweep.dir=sweep")
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    assert all(word in outcome.err for word in told), outcome.err
    assert not list(tmp_path.glob("sweep/*/checkpoints"))


def test_a_metric_that_the_model_has_not_is_told_after_one_job(run, tmp_path):
    words = [*QUICK, "architecture.latent_dim=2,3", "hydra.sweeper.metric=validation/error", "hydra.sweep.dir=sweep"]
    outcome = run(*OPTUNA, *words)
    assert outcome.status == 1
    assert "hydra.sweeper.metric=validation/error: job 0 has none" in outcome.err
    assert "validation/bound, validation/nll" in outcome.err
    assert not (tmp_path / "sweep" / "1").exists()


def test_another_space_or_metric_is_another_search(run):
    words = ["hydra.sweeper.n_trials=1", "hydra.sweep.dir=sweep", *QUICK]
    assert run(*OPTUNA, "architecture.latent_dim=2,3", *words).status == 0
    for other in ("architecture.latent_dim=2,4", "hydra.sweeper.metric=validation/nll", "samples=400"):
        outcome = run("-m", "sweep.resume=sweep", other)
        assert outcome.status == 1
        assert "belongs to another sweep" in outcome.err


def test_an_interval_in_a_grid_and_a_missing_extra_say_what_to_do(run, monkeypatch):
    outcome = run("-m", "optimizer.lr=interval(0.1,0.2)", *QUICK)
    assert outcome.status == 1
    assert "optimizer.lr=interval(0.1,0.2)" in outcome.err
    assert "hydra/sweeper=optuna" in outcome.err
    monkeypatch.setitem(sys.modules, "optuna", None)
    outcome = run(*OPTUNA, *SPACE, *QUICK)
    assert outcome.status == 1
    assert "pip install 'vae_exp[optuna]'" in outcome.err


def test_a_search_draws_no_order():
    for of, values in (("range(9)", list("012345678")), ("c,a,b", list("cab"))):
        (override,) = parse_sweep(None, [f"x=shuffle({of})"])
        assert list(search_space(override).choices) == values
