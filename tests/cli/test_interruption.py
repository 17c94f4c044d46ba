import os
import signal

import pytest

from vae_exp.dataset.mnist import MNIST

QUICK = ["samples=200", "logger=none", "callbacks.figures=null", "callbacks.evaluate.images=50"]
QUICK += ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "trainer.compile=false"]


@pytest.fixture
def killed_while_loading(monkeypatch, few_digits):
    """Send this process a signal when the images of a run are read, or of a later job."""
    load = MNIST.load

    def after(jobs: int, number: int) -> None:
        left = iter(range(jobs))

        def killed(self):
            if next(left, None) is None:
                os.kill(os.getpid(), number)
            return load(self)

        monkeypatch.setattr(MNIST, "load", killed)

    # a shell's background jobs inherit SIGINT as ignored; at a terminal it is Python's own
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield after
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_first_step_has_a_message(run, killed_while_loading, number):
    handler = signal.getsignal(number)
    killed_while_loading(0, number)
    outcome = run(*QUICK)
    assert outcome.status == 128 + number
    assert outcome.err.strip() == "Interrupted before the training began; nothing is lost"
    assert outcome.results["status"] == "interrupted"
    assert signal.getsignal(number) is handler


def test_a_signal_before_a_resumed_run_trains_says_how_to_go_on(run, killed_while_loading):
    outcome = run(*QUICK)
    killed_while_loading(0, signal.SIGTERM)
    resumed = run(f"resume={outcome.directory}", "samples=300")
    assert resumed.status == 128 + signal.SIGTERM
    assert f"Go on with:\n  python -m vae_exp resume={outcome.directory}" in resumed.err


def test_a_signal_while_a_job_of_a_sweep_starts_leaves_the_table(run, killed_while_loading, tmp_path):
    killed_while_loading(1, signal.SIGTERM)
    outcome = run("-m", "seed=0,1,2", *QUICK, f"hydra.sweep.dir={tmp_path}/sweep")
    assert outcome.status == 128 + signal.SIGTERM
    assert "python -m vae_exp -m sweep.resume=" in outcome.err
    assert "1 of 2 jobs completed" in outcome.out
    assert "| 1 | interrupted | " in (tmp_path / "sweep" / "sweep.md").read_text()
