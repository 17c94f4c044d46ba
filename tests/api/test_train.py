import asyncio
import os
import signal
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback

import vae_exp
from vae_exp.errors import ConfigError, Diverged, RunError, UserError
from vae_exp.results.metrics import read_metrics

WORDS = ["samples=200", "network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null"]
WORDS += ["touch=false", "callbacks.evaluate.decades=0.3", "architecture.latent_dim=3"]
OF_THE_CLOCK = ("seconds", "evaluation_seconds", "steps_per_second")
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture(autouse=True)
def _somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def numbers(path):
    """The evaluations, the weights and the generator that a run ends with, to the last bit."""
    state = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    rows = [{name: row[name] for name in row if name not in OF_THE_CLOCK} for row in read_metrics(path / "metrics.csv")]
    weights = {name: value.tolist() for name, value in state["state_dict"].items()}
    return rows, weights, state["vae_exp"]["generator"].tolist()


@pytest.fixture
def of_the_command(run):
    outcome = run(*WORDS)
    assert outcome.status == 0, outcome.err
    return numbers(outcome.directory)


async def in_an_event_loop():
    return vae_exp.train(*WORDS)


async def beside_an_event_loop():
    return await asyncio.to_thread(vae_exp.train, *WORDS)


def test_its_numbers_are_the_commands_to_the_last_bit(of_the_command):
    run = vae_exp.train(*WORDS)
    assert numbers(run.path) == of_the_command
    assert run.metrics["status"] == "completed"
    assert run.path.parent.name == "mnist_vae"
    for wrong, error in [("architecture.latnet_dim=3", ConfigError), ("optimizer.lr=1e9", Diverged)]:
        with pytest.raises(error):
            vae_exp.train(*WORDS, wrong)
    torch.rand(3)
    assert numbers(asyncio.run(in_an_event_loop()).path) == of_the_command
    assert numbers(asyncio.run(beside_an_event_loop()).path) == of_the_command


MISTAKES = {
    "network=convv": "Did you mean network=conv? Allowed: conv, resnet, mlp",
    "seed 3": "overrides are written key=value",
    "-m": "may pass only --config-dir",
    "--config-dir": "a value is needed",
    "hydra.mode=MULTIRUN": "vae_exp.sweep several",
    "resume=nowhere": "is not a run directory",
    "callbacks.checkpoint=null": "no model",
    "dataset=object": "vae_exp.train(…, data=…)",
}


@pytest.mark.parametrize("word", MISTAKES)
def test_a_mistake_is_an_exception_with_one_message(word, capfd):
    with pytest.raises(UserError) as caught:
        vae_exp.train(*WORDS, word)
    assert MISTAKES[word] in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wrong", [(3,), (["seed=3"],), (None,)])
def test_what_is_no_text_is_refused(wrong):
    with pytest.raises(ConfigError, match="Overrides are texts"):
        vae_exp.train(*wrong)


class Interrupt(Callback):
    """Press Ctrl-C once, during the training."""

    done = False

    def on_train_batch_end(self, *_):
        if not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)


def interrupted(*words, **arguments):
    """Return what Ctrl-C raises."""
    with pytest.raises(KeyboardInterrupt) as caught:
        vae_exp.train(*words, "trainer.steps_per_execution=1", **arguments)
    return caught.value


def test_an_interrupted_run_is_saved_and_goes_on(of_the_command):
    interruption = interrupted(*WORDS, callbacks=[Interrupt()], directory="mine")
    run = interruption.result
    assert run.metrics["status"] == "interrupted"
    assert run.metrics["samples"] == 100
    assert run.path == interruption.path == Path("mine").absolute()
    assert str(interruption).startswith("Interrupted after 100 of 200 samples; all is saved. Go on with:")
    resumed = eval(str(interruption).splitlines()[-1], {"vae_exp": vae_exp})
    assert resumed.path == run.path
    assert numbers(resumed.path) == of_the_command
    with pytest.raises(ConfigError, match="contradicts resume"):
        vae_exp.train(f"resume={run.path}", directory="other")
    with pytest.raises(RunError, match="holds a run already"):
        vae_exp.train(*WORDS, directory="mine")


class InterruptAtFirstCheckpoint(Interrupt):
    """Presses Ctrl-C while the first checkpoint is written, before the first update."""

    def on_save_checkpoint(self, *_):
        super().on_train_batch_end()

    def on_train_batch_end(self, *_):
        pass


def test_a_run_with_a_checkpoint_is_saved_whenever_it_is_interrupted():
    interruption = interrupted(*WORDS, callbacks=[InterruptAtFirstCheckpoint()])
    assert "all is saved. Go on with:" in str(interruption)


def test_a_run_in_stages_is_interrupted_in_the_same_way():
    stages = ["+experiment=mnist_cae_fine_tuned", "network.hidden_sizes=[]", "samples=200", "logger=none"]
    stages += ["callbacks.figures=null", "callbacks.evaluate.decades=0.1"]
    interruption = interrupted(*stages, callbacks=[Interrupt()])
    assert "in stage pretraining; all is saved. Go on with:" in str(interruption)
    assert interruption.result.path.parent == interruption.path
    assert interruption.result.metrics["samples"] == 100
    run = interruption.result.resume()
    assert (run.metrics["status"], run.path) == ("completed", interruption.path / "fine_tuning")


def test_a_run_resumes_to_the_numbers_of_the_command(run, tmp_path):
    first, more = run(*WORDS, directory=tmp_path / "command"), "samples=400"
    assert run(f"resume={first.directory}", more, directory=first.directory).status == 0
    trained = vae_exp.train(*WORDS)
    for begun in (trained, vae_exp.load_run(trained.path)):
        resumed = begun.resume(more)
        assert (resumed.path, resumed.metrics["samples"]) == (trained.path, 400)
        assert numbers(resumed.path) == numbers(first.directory)
    assert trained.metrics["samples"] == 200
    with pytest.raises(ConfigError, match="Did you mean samples"):
        trained.resume("sample=400")
