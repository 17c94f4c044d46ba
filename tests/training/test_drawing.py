import os
import signal

import pytest
from pages import report_data

QUICK = ["samples=1000", "logger=none", "callbacks.evaluate.decades=1"]


@pytest.mark.usefixtures("few_digits")
@pytest.mark.usefixtures("reports")
def test_a_signal_while_the_figures_are_drawn_ends_the_run_which_can_be_finished(run, monkeypatch):
    # a shell's background jobs inherit SIGINT as ignored; at a terminal it is Python's own
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("vae_exp.training.drawing.portfolio", lambda *_: os.kill(os.getpid(), signal.SIGINT))
            outcome = run(*QUICK)
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert outcome.status != 0
    assert outcome.results["status"] == report_data(outcome.directory)["status"] == "interrupted"
    assert run(f"resume={outcome.directory}").status == 0
    assert outcome.results["status"] == report_data(outcome.directory)["status"] == "completed"
    assert (outcome.directory / "figures" / "samples.png").exists()
