"""`python -m vae_exp touch` on a finished run."""

import pytest
from pages import report_data

from vae_exp.cli import touch

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run={}", "outptu=a.html"], "outptu: no such key. Did you mean output?"),
        (["run={}", "checkpoint=bset"], "checkpoint=bset: is not allowed"),
        (["run={}", "output={}"], "is a folder; the name of a file is needed"),
        (["run=nowhere"], "run=nowhere: is not a run directory"),
        ([], "run: a value is needed"),
    ],
    ids=str,
)
def test_mistakes_are_named(trained, command, arguments, message):
    status, said = command(touch, *(argument.format(trained) for argument in arguments))
    assert status == 1
    assert message in said.err
    assert "Traceback" not in said.err


def test_a_run_without_a_checkpoint_and_a_model_without_a_decoder_are_named(trained, command, run):
    (trained / "checkpoints" / "last.ckpt").unlink()
    status, said = command(touch, f"run={trained}")
    assert status == 1
    assert "checkpoint=last" in said.err
    words = ["architecture=ae", "head=classifier", "network.hidden_sizes=[8]", "samples=100", "logger=none"]
    outcome = run(*words, "callbacks.figures=null", "callbacks.evaluate=null")
    status, said = command(touch, f"run={outcome.directory}")
    assert status == 1
    assert "Classifier has no decoder that is trained: nothing to touch" in said.err


@pytest.mark.usefixtures("reports")
def test_a_run_writes_the_page_if_the_config_says_so(run, tmp_path):
    words = ["samples=100", "network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "touch=true"]
    outcome = run(*words, "callbacks.evaluate.decades=0.1")
    assert outcome.status == 0, outcome.err
    assert (outcome.directory / "model.html").exists()
    assert [link["text"] for link in report_data(outcome.directory)["links"]] == ["Touch the model"]
    again = run(f"resume={outcome.directory}", "samples=200", "touch=false")
    assert again.status == 0, again.err
    assert not (outcome.directory / "model.html").exists()  # it had the model of 100 samples
    assert report_data(outcome.directory)["links"] == []
