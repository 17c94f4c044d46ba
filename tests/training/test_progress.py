import pytest

from vae_exp.results.metrics import read_metrics

QUICK = ["logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_every_evaluation_is_a_line_and_the_bar_can_be_switched_off(run):
    outcome = run("samples=1000", "callbacks.evaluate.decades=1", *QUICK)
    lines = [line for line in outcome.out.splitlines() if "steps/s" in line]
    assert len(lines) == len(read_metrics(outcome.directory / "metrics.csv"))
    assert f"test/bound {outcome.results['test/bound']:9.2f}" in lines[-1]
    assert "steps/s" not in run("samples=200", "trainer.enable_progress_bar=false", *QUICK).out
