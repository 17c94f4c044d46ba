"""Runs with a learned prior and a flow as the posterior: they resume, are started from and swept."""

import csv

import pytest
import torch

from vae_exp import load_run

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = [
    "network.hidden_sizes=[8]",
    "architecture.latent_dim=2",
    "dataset.train_size=100",
    "dataset.binarization=dynamic",
    "optimizer=adam",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.1",
]
VAMP_IAF = ["prior=vamp", "prior.components=7", "posterior=iaf", "posterior.hidden_sizes=[4]", "posterior.context=2"]


def test_a_run_that_resumes_ends_with_the_numbers_of_one_never_stopped(run):
    whole, stopped = run(*QUICK, *VAMP_IAF, "samples=600"), run(*QUICK, *VAMP_IAF, "samples=300")
    resumed = run(f"resume={stopped.directory}", "samples=600")
    assert resumed.status == 0, resumed.err
    assert stopped.results["test/bound"] == whole.results["test/bound"]

    begun = run(*QUICK, *VAMP_IAF, "samples=100", "optimizer.lr=1e-9", f"start_from={whole.directory}")
    assert begun.status == 0, begun.err
    ours, theirs = (load_run(outcome.directory).model.p_z.pseudo_inputs() for outcome in (begun, whole))
    torch.testing.assert_close(ours, theirs)


def test_the_pseudo_inputs_begin_at_training_images(run):
    outcome = run(*QUICK, *VAMP_IAF, "dataset.binarization=none", "samples=100", "optimizer.lr=1e-9")
    model = load_run(outcome.directory).model
    pixels = model.p_z.pseudo_inputs()
    assert abs(pixels.min()) < 1e-6  # the first update moves them by 1e-9
    assert pixels.max() > 0.9
    assert len({tuple(image.flatten().tolist()) for image in pixels}) == 7


def test_more_pseudo_inputs_than_images_are_refused(run):
    outcome = run(*QUICK, "prior=vamp", "prior.components=101", "samples=100")
    assert outcome.status == 1
    assert "prior.components=101" in outcome.err


def test_a_sweep_over_both_has_their_columns(run, tmp_path):
    sweep = ["prior=standard,mixture", "posterior=diagonal,full_covariance", "samples=100", "hydra.sweep.dir=sweep"]
    outcome = run("-m", *QUICK, *sweep)
    assert outcome.status == 0, outcome.err
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["prior"], row["posterior"]) for row in rows} == {
        (prior, posterior) for prior in ("standard", "mixture") for posterior in ("diagonal", "full_covariance")
    }
