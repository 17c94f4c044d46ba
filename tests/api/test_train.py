import asyncio
import os
import signal

import pytest
import torch
from pytorch_lightning import Callback

import vae_exp
from vae_exp.errors import ConfigError, Diverged, RunError, UserError
from vae_exp.results.metrics import read_metrics

WORDS = ["samples=200", "network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null"]
WORDS += ["callbacks.evaluate.decades=0.3", "architecture.latent_dim=3"]
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
    "network=convv": "Did you mean network=conv?",
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
    """Press Ctrl-C during the training."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.lightning_module.samples_seen < 200:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_gives_the_run_so_far_and_it_goes_on(of_the_command, capfd):
    run = vae_exp.train(*WORDS, "trainer.steps_per_execution=1", callbacks=[Interrupt()], directory="mine")
    assert run.metrics["status"] == "interrupted"
    assert run.metrics["samples"] == 100
    assert run.path.name == "mine"
    (line,) = (line for line in capfd.readouterr().out.splitlines() if "resume=" in line)
    resumed = eval(line, {"vae_exp": vae_exp})
    assert resumed.path == run.path
    assert numbers(resumed.path) == of_the_command
    with pytest.raises(ConfigError, match="contradicts resume"):
        vae_exp.train(f"resume={run.path}", directory="other")
    with pytest.raises(RunError, match="holds a run already"):
        vae_exp.train(*WORDS, directory="mine")
