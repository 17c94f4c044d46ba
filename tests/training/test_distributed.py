"""One run on several processes: what is learned is what one process learns, and none is left behind."""

import json
import os
import signal
import subprocess
import time

import pytest
import torch
from program import command_line

from vae_exp.architecture import M2
from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import TrainingStream
from vae_exp.dataset.serving import Counts, Serving
from vae_exp.dataset.shard import Shard
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB
from vae_exp.prior.normal import kl_of_normals
from vae_exp.results.metrics import read_metrics
from vae_exp.training.engine.losses import WeightedLoss

SMALL = [
    "vae_exp",
    "dataset.train_size=300",
    "dataset.batch_size=20",
    "network.hidden_sizes=[15]",
    "optimizer=adam",
    "callbacks.evaluate.images=300",
    "callbacks.figures=null",
    "logger=none",
]

OWN_PART = """
from vae_exp.likelihood import Bernoulli

class Mine(Bernoulli):
    pass
"""

COUNTS = [8, 8, 8, 8, 8, 3]
"""Images in the batches of eight that 43 of them make."""


def ended(run, directory, *words):
    outcome = run(*SMALL[1:], *words, directory=directory)
    assert outcome.status == 0, outcome.err
    return outcome.results


def weights(directory):
    checkpoint = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: value for name, value in checkpoint["state_dict"].items() if isinstance(value, torch.Tensor)}


def others(process):
    """The processes that another one has started."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
    return [int(number) for number in found.split()]


class AtTheMean(SGVBB):
    """Estimator B at the mean of q(z|x): nothing is drawn, so that gradients can be compared."""

    def forward(self, x, encode, p, decode):
        q = encode(x)
        return {"nll": -decode(q.mean[None]).log_prob(x)[0], "kl": kl_of_normals(q, p)}


@pytest.mark.parametrize(("size", "labelled"), [(1, 2), (2, 1), (4, 2), (4, 3)])
def test_few_labels_have_the_gradient_of_one_process_wherever_they_are(size, labelled):
    """Also where a process has no labelled image; of the last batch, of three images, some have none at all."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        images = Images(torch.randint(256, (40, 1, 2, 3), dtype=torch.uint8), torch.arange(40) % 5)
        images.labels[8:] = -1
        model = M2((1, 2, 3), 5, MLP([7], init_std=0.5), Bernoulli(), AtTheMean(), latent_dim=2)
        loss = WeightedLoss(model, model.weights(Counts(images=40, labelled=8)))

        def gradients(shard):
            def binarize(pixels):
                return pixels.double() / 255

            stream = TrainingStream(images, binarize, 8, 0, 43, 0, serving=Serving(labelled=labelled), shard=shard)
            for (x, y, _, counts, *_), count in zip((batch for part in stream for batch in part), COUNTS, strict=True):
                loss.zero_grad()
                loss(x, y, counts)[0].backward()
                yield shard.weight(count) * torch.cat([p.grad.flatten() for p in loss.parameters()])

        every = zip(*(gradients(Shard(rank, size)) for rank in range(size)), strict=True)
        added = torch.stack([sum(of_shards) for of_shards in every])
        torch.testing.assert_close(added, torch.stack(list(gradients(Shard()))), rtol=1e-10, atol=1e-12)
    finally:
        torch.set_default_dtype(torch.float32)


def test_two_processes_learn_what_one_does_also_interrupted_and_where_one_dies(run, tmp_path):
    """An autoencoder draws nothing, so by rounding the same; of the last batch one process has no image."""
    words = ["architecture=ae", "samples=10001", "dataset.batch_size=50", "+trainer.gradient_clip_val=20"]
    words += ["callbacks.evaluate.per_decade=20", "callbacks.evaluate.images=100"]
    # both processes import a part from the folder where the program was started, although the job has its own
    words += ["likelihood._target_=own_part_beside_me.Mine", "hydra.job.chdir=true"]
    (tmp_path / "own_part_beside_me.py").write_text(OWN_PART)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"

    def started(*words):
        process = command_line(*words, cwd=tmp_path)
        rows = len(read_metrics(stopped / "metrics.csv")) if (stopped / "metrics.csv").exists() else 0
        deadline = time.monotonic() + 90
        while not (stopped / "metrics.csv").exists() or len(read_metrics(stopped / "metrics.csv")) <= rows:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    process = started(*SMALL, *words, "trainer=ddp", f"hydra.run.dir={stopped}")
    (other,) = others(process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"resume={stopped}" in errors
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)

    process = started("vae_exp", f"resume={stopped}", "trust=own_part_beside_me")
    os.kill(others(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "trainer=ddp: process 2 of 2 ended with status -9" in errors
    assert json.loads((stopped / "results.json").read_text())["status"] == "failed"

    process = command_line("vae_exp", f"resume={stopped}", "trust=own_part_beside_me", cwd=tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    one, two = ended(run, whole, *words), json.loads((stopped / "results.json").read_text())
    assert (two["samples"], two["step"], two["device"]) == (10001, one["step"], f"{one['device']} × 2")
    assert two["test/nll"] == pytest.approx(one["test/nll"], rel=1e-4)
    torch.testing.assert_close(weights(stopped), weights(whole), rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trainer.devices=0"], ["trainer.devices=0", "greater than 0"]),
        (["trainer.devices=auto"], ["trainer.devices=auto", "whole number"]),
        (["trainer.devices=30", "dataset.batch_size=20"], ["trainer.devices=30", "20 images in a batch"]),
        (["objective=mcem"], ["trainer=ddp", "trainer=default"]),
        (["trainer.strategy=fsdp"], ["trainer.strategy=fsdp", "'ddp'"]),
    ],
)
def test_mistakes_are_one_message(run, words, told):
    outcome = run("trainer=ddp", "trainer.accelerator=cpu", "logger=none", *words)
    assert outcome.status == 1
    assert all(word in outcome.err for word in told), outcome.err
    assert "Traceback" not in outcome.err
