"""Interrupted, killed, resumed: the numbers are those of a run that was never stopped."""

import signal
import time

import pytest
import torch
from program import command_line

from vae_exp.results.metrics import read_metrics

CLOCK = {"seconds", "evaluation_seconds", "steps_per_second"}
ARGUMENTS = [
    "vae_exp",
    "architecture=vae",
    "dataset.train_size=1100",  # not a multiple of the batch size
    "dataset.binarization=dynamic",
    "network.hidden_sizes=[200]",
    "samples=50000",
    "callbacks.evaluate.images=1000",
    "optimizer=adam",
    "scheduler=cosine",
    "architecture.beta={cycles: 3}",
    "architecture.free_bits=0.05",
    "callbacks.evaluate.per_decade=12",
    "callbacks.checkpoint.every_seconds=0.1",
    "callbacks.figures=null",
    "logger=none",
]


def numbers(directory):
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in read_metrics(directory / "metrics.csv")]


def wait_for_rows(process, directory, rows):
    path = directory / "metrics.csv"
    for _ in range(1200):
        if path.exists() and len(read_metrics(path)) >= rows:
            time.sleep(0.35)  # into the stretch between two evaluations, past a checkpoint
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("the run does not get on")


def test_a_run_stopped_in_every_way_ends_with_the_numbers_of_one_never_stopped(run, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    resume_command = ["vae_exp", f"resume={stopped}"]
    begin = [*ARGUMENTS, f"hydra.run.dir={stopped}"]
    reached = 0
    for words, number in ((begin, signal.SIGINT), (resume_command, signal.SIGTERM), (resume_command, signal.SIGKILL)):
        process = command_line(*words, cwd=tmp_path)
        wait_for_rows(process, stopped, reached + 2)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
            assert not (stopped / "results.json").exists()
        else:
            assert process.returncode == 128 + number
            assert f"resume={stopped}" in err
            assert "Traceback" not in err
            assert '"status": "interrupted"' in (stopped / "results.json").read_text()
        assert reached < len(read_metrics(stopped / "metrics.csv")) < 25
        reached = len(read_metrics(stopped / "metrics.csv"))
    process = command_line(*resume_command, cwd=tmp_path)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert run(*ARGUMENTS[1:], directory=whole).status == 0

    assert numbers(stopped) == numbers(whole)
    ends = [torch.load(d / "checkpoints" / "last.ckpt", weights_only=True) for d in (whole, stopped)]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name
    states = [end["optimizer_states"][0]["state"] for end in ends]
    for i, state in states[0].items():
        for name, value in state.items():
            assert torch.equal(value, states[1][i][name])
    assert ends[0]["lr_schedulers"] == ends[1]["lr_schedulers"]
    assert torch.equal(*(end["vae_exp"]["generator"] for end in ends))
    assert not [path for path in stopped.rglob("*") if path.name.endswith(".part")]


@pytest.mark.usefixtures("few_digits")
def test_a_larger_budget_goes_on_with_a_finished_run(run):
    quick = ["logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=1"]
    long, short = run("samples=2000", *quick), run("samples=1000", *quick)
    assert run(f"resume={short.directory}", "samples=2000").status == 0
    assert numbers(short.directory)[-1] == numbers(long.directory)[-1]
    assert short.results["samples"] == short.results["budget"] == 2000
    # and a further one begins where this one ended
    assert run(f"resume={short.directory}", "samples=2050").status == 0
    assert short.results["samples"] == 2050


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(("online", "steps", "stop"), [("false", 10, 2675), ("true", 20, 2650)])
def test_monte_carlo_em_goes_on_in_the_middle_of_an_m_step(run, online, steps, stop):
    """With every image's latents, the step size and the evaluations of the batch that are left.

    The first budget ends inside of a batch, of 200 images at once or of 100.
    """
    quick = ["objective=mcem", "architecture.latent_dim=2", "network.hidden_sizes=[20]", "callbacks.evaluate.images=5"]
    quick += [f"objective.online={online}", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.01"]
    quick += ["dataset.train_size=200"]
    whole, stopped = run("samples=7000", *quick), run(f"samples={stop}", *quick)
    assert stopped.results["samples"] == stop
    assert (whole.results["samples"], whole.results["step"]) == (7000, steps)
    assert run(f"resume={stopped.directory}", "samples=7000").status == 0
    assert numbers(stopped.directory)[-1] == numbers(whole.directory)[-1]
    ends = [torch.load(r.directory / "checkpoints" / "last.ckpt", weights_only=True) for r in (whole, stopped)]
    state, other = (end["state_dict"]["architecture.objective._extra_state"] for end in ends)
    assert state["z"].shape == (1, 200, 2)
    assert torch.equal(state["z"], other["z"])
    assert torch.equal(state["step_size"], other["step_size"])


QUICK = ["samples=1000", "logger=none", "callbacks.evaluate.decades=1"]


def numbers_of(results):
    numbers = {k: v for k, v in results.items() if k not in CLOCK | {"date", "train_seconds", "resume"}}
    return numbers | {"overrides": sorted(results["overrides"])}


@pytest.mark.usefixtures("few_digits")
def test_a_run_killed_after_its_last_update_is_finished(run):
    outcome = run(*QUICK)
    before = outcome.results
    (outcome.directory / "results.json").unlink()
    figures = sorted((outcome.directory / "figures").iterdir())
    assert figures
    for figure in figures:
        figure.unlink()
    assert run(f"resume={outcome.directory}").status == 0
    assert numbers_of(outcome.results) == numbers_of(before)
    assert sorted((outcome.directory / "figures").iterdir()) == figures
