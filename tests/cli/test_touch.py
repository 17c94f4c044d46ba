"""`python -m vae_exp touch` on a finished run."""

import logging

import pytest
from pages import report_data

from vae_exp.cli import touch
from vae_exp.dataset.mnist import MNIST
from vae_exp.results.load import load_run
from vae_exp.results.touch import try_touch

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


@pytest.mark.usefixtures("model_pages")
def test_a_run_without_a_checkpoint_and_a_model_without_a_decoder_are_named(trained, command, run):
    (trained / "checkpoints" / "last.ckpt").unlink()
    status, said = command(touch, f"run={trained}")
    assert status == 1
    assert "checkpoint=last" in said.err
    words = ["architecture=ae", "head=classifier", "network.hidden_sizes=[8]", "samples=100", "logger=none"]
    outcome = run(*words, "callbacks.figures=null", "callbacks.evaluate=null")
    assert outcome.status == 0
    assert "page" not in outcome.err
    status, said = command(touch, f"run={outcome.directory}")
    assert status == 1
    assert "Classifier has no decoder that is trained: nothing to touch" in said.err


@pytest.mark.usefixtures("reports", "model_pages")
def test_a_run_writes_the_page_with_the_images_that_it_has_loaded(run, monkeypatch):
    loaded, load = [], MNIST.load
    monkeypatch.setattr(MNIST, "load", lambda self: loaded.append(self) or load(self))
    words = ["samples=100", "network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null"]
    outcome = run(*words, "callbacks.evaluate.decades=0.1")
    assert outcome.status == 0, outcome.err
    assert (outcome.directory / "model.html").exists()
    assert len(loaded) == 1
    assert [link["text"] for link in report_data(outcome.directory)["links"]] == ["Touch the model"]
    again = run(f"resume={outcome.directory}", "samples=200", "touch=false")
    assert again.status == 0, again.err
    assert not (outcome.directory / "model.html").exists()  # it had the model of 100 samples
    assert report_data(outcome.directory)["links"] == []


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_page_that_nobody_asked_for_is_missing_without_a_word(trained, monkeypatch, caplog):
    def without_encoder(path):
        found = load_run(path)
        found.model.amortized = False
        return found

    page = trained / "model.html"
    monkeypatch.setattr("vae_exp.results.touch.MOST_WEIGHTS", 100)
    page.write_text("of an earlier model")
    try_touch(trained, load_run, "auto")
    assert not page.exists()
    assert warnings(caplog) == []
    try_touch(trained, load_run, True)
    assert page.exists()
    monkeypatch.setattr("vae_exp.results.touch.MOST_WEIGHTS", 1e6)
    try_touch(trained, without_encoder, "auto")
    assert not page.exists()
    try_touch(trained, load_run, "auto")
    assert page.exists()
    try_touch(trained, load_run, False)
    assert not page.exists()
    assert warnings(caplog) == []

    def full(path, text):
        raise OSError("the disk is full")

    monkeypatch.setattr("vae_exp.results.touch.write_atomically", full)
    try_touch(trained, load_run, "auto")
    (warning,) = warnings(caplog)
    assert "the disk is full" in warning
