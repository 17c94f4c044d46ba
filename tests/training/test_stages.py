"""Runs in stages, as a user starts, kills and resumes them."""

import csv
import json
import signal
import time
from itertools import pairwise

import pytest
import torch
from guesses import share_of_wrong_guesses
from pages import report_data
from program import command_line

from vae_exp import load_run
from vae_exp.architecture import Stacked
from vae_exp.results.jobs import read_jobs
from vae_exp.results.metrics import read_metrics

STAGES = ["layer1", "layer2", "layer3", "fine_tuning"]
SMALL = ["+experiment=mnist_sdae", "architecture.sizes=[12,10,8]", "logger=none", "callbacks.evaluate.decades=0.1"]
NO_FIGURES = ["samples=100", "callbacks.figures=null"]
CLOCK = {"seconds", "evaluation_seconds", "steps_per_second"}


def weights(directory):
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: value for name, value in checkpoint["state_dict"].items() if isinstance(value, torch.Tensor)}


@pytest.mark.usefixtures("few_digits")
@pytest.mark.usefixtures("reports")
def test_every_stage_is_a_run_that_begins_where_the_one_before_it_ended(run):
    outcome = run("samples=300", *SMALL)
    assert outcome.status == 0, outcome.err
    for stage in STAGES:
        results = json.loads((outcome.directory / stage / "results.json").read_text())
        assert (results["status"], results["samples"]) == ("completed", 300)
    ends = [weights(outcome.directory / stage) for stage in STAGES[:3]]
    for k, (before, after) in enumerate(pairwise(ends)):
        for layer in range(3):
            name = f"architecture.stack.{layer}.linear.weight"
            # of greedy training: in stage k + 1 its own layer alone changes
            assert torch.equal(before[name], after[name]) == (layer != k + 1)
    tuned = weights(outcome.directory / "fine_tuning")
    of_encoder = {name: tuned[name.replace(".", ".encoder.", 1)] for name in ends[2]}
    assert all(not torch.equal(ends[2][name], of_encoder[name]) for name in ends[2] if name.endswith("linear.weight"))
    results = outcome.results
    assert results["stage"] == "fine_tuning"
    last = json.loads((outcome.directory / "fine_tuning" / "results.json").read_text())
    assert results["test/error"] == last["test/error"]
    model = load_run(outcome.directory).model
    assert isinstance(model.autoencoder, Stacked)
    assert model.classify(torch.rand(5, 1, 28, 28)).exp().sum(1).tolist() == pytest.approx([1] * 5)
    assert load_run(outcome.directory / "layer2").model.latent_dim == 10
    assert (outcome.directory / "layer1" / "figures" / "reconstructions.png").exists()
    assert not (outcome.directory / "fine_tuning" / "figures" / "reconstructions.png").exists()
    page = report_data(outcome.directory)
    assert [row[0]["href"] for row in page["summary"][0]["rows"]] == [f"./{stage}/report.html" for stage in STAGES]
    assert all((outcome.directory / stage / "report.html").exists() for stage in STAGES)
    # and not over it
    again = run("samples=300", *SMALL, directory=outcome.directory)
    assert again.status == 1
    assert "holds a run already" in again.err


@pytest.mark.usefixtures("few_digits")
def test_a_contractive_autoencoder_becomes_a_classifier(run):
    words = ["architecture.latent_dim=15", "logger=none", "callbacks.evaluate.decades=0.1"]
    outcome = run("+experiment=mnist_cae_fine_tuned", "samples=300", "architecture.contraction=2", *words)
    assert outcome.status == 0, outcome.err
    penalised, fine_tuned = (outcome.directory / stage for stage in ("pretraining", "fine_tuning"))
    assert read_metrics(penalised / "metrics.csv")[-1]["test/contraction"] > 0
    first, last = weights(penalised), weights(fine_tuned)
    assert {name.replace(".", ".encoder.", 1) for name in first} < set(last)
    name = "decoder.layers.0.bias"  # of the way back
    assert torch.equal(first[f"architecture.{name}"], last[f"architecture.encoder.{name}"])
    assert outcome.results["test/error"] == pytest.approx(share_of_wrong_guesses(fine_tuned))
    assert "test/contraction" not in outcome.results
    model = load_run(outcome.directory).model
    assert model.classify(torch.rand(5, 1, 28, 28)).exp().sum(1).tolist() == pytest.approx([1] * 5)
    assert (fine_tuned / "figures" / "filters.png").exists()


@pytest.mark.usefixtures("few_digits")
def test_without_stages_it_is_the_same_network_from_the_start(run):
    outcome = run("samples=300", "stages=null", *SMALL)
    assert outcome.results["samples"] == 300
    assert outcome.results["test/error"] == pytest.approx(share_of_wrong_guesses(outcome.directory))
    assert f"test/error {outcome.results['test/error']:.2%}" in outcome.err + outcome.out
    assert not (outcome.directory / "layer1").exists()


def test_a_killed_run_goes_on_at_the_stage_it_was_in(run, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    words = ["vae_exp", *SMALL, "samples=12000", "dataset.train_size=400", "callbacks.figures=null"]
    words += ["callbacks.checkpoint.every_seconds=0.1", "callbacks.evaluate.images=300"]
    process = command_line(*words, f"hydra.run.dir={killed}", cwd=tmp_path)
    table = killed / "layer2" / "metrics.csv"
    for _ in range(9000):
        if table.exists() and read_metrics(table):
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"Interrupted in stage layer2; all is saved. Go on with:\n  python -m vae_exp resume={killed}\n" in errors
    (killed / "results.json").unlink()  # as if it had been killed without a word
    assert f"go on with: python -m vae_exp resume={killed}" in str(read_jobs(tmp_path)[0].results["error"])
    assert (killed / "layer1" / "results.json").exists()
    assert not (killed / "results.json").exists()
    finished = (killed / "layer1" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    process = command_line("vae_exp", f"resume={killed}", cwd=tmp_path)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert run(*words[1:], directory=whole).status == 0
    assert (killed / "layer1" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == finished
    for stage in STAGES:
        rows = [read_metrics(path / stage / "metrics.csv") for path in (killed, whole)]
        ours, theirs = ([{k: v for k, v in row.items() if k not in CLOCK} for row in table] for table in rows)
        assert ours == theirs
    assert json.loads((killed / "results.json").read_text())["status"] == "completed"


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    ("words", "told", "recorded"),
    [
        (
            ["stages.layer2=['start_from={layer9}']"],
            ["stages.layer2", "start_from={layer9}", "Earlier stages: layer1"],
            ["results.json"],
        ),
        (["stages.layer1=['architecture.dpeth=1']"], ["dpeth", "depth"], ["results.json"]),
        (["stages.layer1=7"], ["stages.layer1"], []),
        (
            ["stages.layer1=['start_from=nowhere']"],
            ["nowhere", "no checkpoint"],
            ["layer1/results.json", "results.json"],
        ),
        (["architecture.sizes=[5]"], ["architecture.depth=2", "1 layer"], ["results.json"]),
    ],
)
def test_a_mistake_in_a_stage_is_one_message_and_a_failed_run(run, words, told, recorded):
    outcome = run("samples=100", *SMALL[:1], *SMALL[2:], "callbacks.figures=null", *words)
    assert outcome.status == 1
    assert all(word in outcome.err for word in told), outcome.err
    assert "Traceback" not in outcome.err
    results = sorted(outcome.directory.rglob("results.json"))
    assert [str(file.relative_to(outcome.directory)) for file in results] == recorded
    assert {json.loads(file.read_text())["status"] for file in results} <= {"failed"}


@pytest.mark.usefixtures("few_digits")
def test_a_stage_is_told_its_own_words_and_what_is_typed_where_it_fits(run):
    words = ["architecture/corruption=gaussian", "architecture.corruption.std=0.7", "optimizer.lr=0.03"]
    outcome = run(*SMALL, "samples=100", "callbacks.figures=null", "architecture.depth=2", *words)
    assert outcome.status == 0, outcome.err
    stages = [json.loads((outcome.directory / stage / "results.json").read_text()) for stage in STAGES]
    assert [stage["architecture.corruption.std"] for stage in stages] == [0.7] * 4
    assert [stage["architecture.depth"] for stage in stages] == [1, 2, 3, 2]
    assert [stage["optimizer.lr"] for stage in stages] == [0.001, 0.001, 0.001, 0.03]
    assert [stage["budget"] for stage in stages] == [100] * 4


@pytest.fixture
def staged(once):
    """A copy of a run of four stages."""
    return once("staged", *SMALL, *NO_FIGURES)


def test_a_larger_budget_goes_on_with_the_last_stage_alone(run, staged):
    assert run(f"resume={staged}", "samples=200").status == 0
    budgets = [json.loads((staged / stage / "results.json").read_text())["samples"] for stage in STAGES]
    assert budgets == [100, 100, 100, 200]


def test_no_run_is_written_over_by_one_of_the_other_kind(run, staged):
    single = run(*SMALL, *NO_FIGURES, "stages=null").directory
    for words, directory in ((SMALL, single), ([*SMALL, "stages=null"], staged)):
        before = (directory / "results.json").read_text()
        again = run(*words, *NO_FIGURES, directory=directory)
        assert again.status == 1
        assert "holds a run already" in again.err
        if directory is single:
            assert (directory / "results.json").read_text() == before


@pytest.mark.usefixtures("few_digits")
def test_a_sweep_has_a_row_for_every_run_not_for_every_stage(run, tmp_path):
    two_stages = ["+experiment=mnist_cae_fine_tuned", "architecture.latent_dim=15", *SMALL[2:]]
    assert run("-m", "seed=0,1", "hydra.sweep.dir=sweep", *two_stages, *NO_FIGURES).status == 0
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["job"], row["status"]) for row in rows] == [("0", "completed"), ("1", "completed")]
    assert [float(row["test/error"]) for row in rows] == [
        pytest.approx(share_of_wrong_guesses(tmp_path / "sweep" / row["job"] / "fine_tuning")) for row in rows
    ]
    assert "−error, higher is better" in (tmp_path / "sweep" / "sweep.md").read_text()


@pytest.mark.usefixtures("few_digits")
def test_weights_are_taken_over_by_name(run):
    quick = ["samples=100", "logger=none", "callbacks.figures=null"]
    first = run("architecture=ae", *quick)
    start = f"start_from={first.directory}"
    same = run("architecture=ae", "optimizer.lr=1e-12", start, *quick)
    ours, theirs = weights(same.directory), weights(first.directory)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name])
    other = run("architecture=ae", "architecture.latent_dim=7", start, *quick)
    assert other.status == 1
    assert "encoder.linears.1.weight is [20, 500] there and [7, 500] here" in other.err
    other = run("+experiment=mnist_sae", "stages=null", start, *quick)
    assert other.status == 1
    assert "no weight in common" in other.err
