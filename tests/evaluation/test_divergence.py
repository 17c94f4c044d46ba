import math

import pytest
from images import needs_frey_face

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_a_finite_but_absurd_end_is_called_diverged(run):
    words = [*QUICK, "optimizer.lr=0.1", "trainer.compile=false"]
    absurd = run(*words)
    assert absurd.status == 1
    assert "1,000 times the cost of a model that has learned nothing" in absurd.err
    assert (absurd.results["status"], absurd.results["samples"]) == ("diverged", 200)
    assert -math.inf < absurd.results["test/bound"] < -1e9
    # before the end there is hope
    recovered = run(*words, "samples=600")
    assert (recovered.status, recovered.results["status"]) == (0, "completed")


@needs_frey_face
def test_a_small_fixed_std_is_not_absurd(run):
    words = ["dataset=frey_face", "likelihood=gaussian", "likelihood.variance=fixed", "likelihood.std=0.01"]
    outcome = run(*words, *QUICK, "optimizer.lr=1e-6")
    assert outcome.results["status"] == "completed", outcome.err
    assert outcome.results["test/bound"] < -200 * 560
