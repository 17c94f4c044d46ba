"""The programs that scripts/benchmark.py compares. Each runs in its own process, and they take turns.

A program trains without end and calls a `Pace` after every update, or after several. The `Pace` reports when the
program has warmed up. Then it lets the program train one turn each time that the parent process asks for one.
"""

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 200


@dataclass(frozen=True)
class Case:
    """An experiment of vae_exp, and the sizes with which another program does the same work."""

    experiment: str
    title: str
    pixels: int
    hidden: int
    latent: int
    likelihood: str
    batch: int
    steps: int
    peers: tuple[str, ...]


CASES = {
    "mnist": Case(
        "mnist_vae",
        "MNIST, 784–500–20 tanh, Bernoulli",
        784,
        500,
        20,
        "bernoulli",
        100,
        400,
        ("eager", "lightning", "pythae", "jax", "vae_exp"),
    ),
    "frey": Case(
        "frey_face_vae",
        "Frey Face, 560–200–10 tanh, Gaussian",
        560,
        200,
        10,
        "gaussian",
        100,
        800,
        ("eager", "lightning", "jax", "vae_exp"),
    ),
    "conv": Case(
        "keras_conv_vae", "MNIST, the convolutional network", 784, 0, 2, "bernoulli", 16, 40, ("eager", "vae_exp")
    ),
}


class Pace:
    """Waits between two turns. It is called after every update or after several.

    Args:
        steps: Number of updates in a turn.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.goal, self.done = steps, WARM_UP, 0
        self.started: float | None = None

    def __call__(self, steps: int = 1) -> None:
        self.done += steps
        if self.done < self.goal:
            return
        if self.started is None:
            self._report({"warm": True})
        else:
            seconds = time.perf_counter() - self.started
            self._report({"steps_per_second": (self.done - self.first) / seconds, "resident": memory("VmRSS")})
        if sys.stdin.readline().strip() != "go":
            self._report({"peak": memory("VmHWM")})
            os._exit(0)
        self.first, self.goal, self.started = self.done, self.done + self.steps, time.perf_counter()

    def _report(self, values: dict) -> None:
        print("@" + json.dumps(values), flush=True)


def memory(field: str) -> float:
    """Return the memory of this process in MiB: VmRSS is the current use, VmHWM the largest."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def images(case: Case, device: str):
    """Read the training images of a case as one float tensor (N, pixels)."""
    import torch

    from vae_exp.dataset.frey_face import FreyFace
    from vae_exp.dataset.mnist import MNIST

    paths = {"data": os.environ["VAE_EXP_DATA"], "cache": "~/.cache/vae_exp"}
    source = MNIST(paths["cache"]) if case.pixels == 784 else FreyFace(paths["data"])
    return (source.load().train.pixels.float() / 255).flatten(1).to(torch.device(device)).contiguous()


def torch_vae(case: Case):
    """Build the paper's network as one would write it by hand. Its forward returns the loss of a batch."""
    import math

    import torch
    from torch import nn
    from torch.nn import functional as F

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            features = case.pixels * (1 if case.likelihood == "bernoulli" else 2)
            self.encoder = nn.Sequential(
                nn.Linear(case.pixels, case.hidden), nn.Tanh(), nn.Linear(case.hidden, 2 * case.latent)
            )
            self.decoder = nn.Sequential(
                nn.Linear(case.latent, case.hidden), nn.Tanh(), nn.Linear(case.hidden, features)
            )
            for p in self.parameters():
                nn.init.normal_(p, 0, 0.01) if p.ndim > 1 else nn.init.zeros_(p)

        def forward(self, x):
            mean, log_variance = self.encoder(x).chunk(2, 1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            features = self.decoder(z)
            if case.likelihood == "bernoulli":
                nll = F.binary_cross_entropy_with_logits(features, x, reduction="none").sum(1)
            else:
                mu, s = features.chunk(2, 1)
                s = s.clamp(min=2 * math.log(0.01))
                nll = 0.5 * (math.log(2 * math.pi) + s + (x - torch.sigmoid(mu)).square() * torch.exp(-s)).sum(1)
            kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
            return (nll + kl).mean()

    class Convolutional(nn.Module):
        """Chollet's encoder and decoder, as in keras_conv_vae."""

        def __init__(self) -> None:
            super().__init__()
            layers = [nn.Unflatten(1, (1, 28, 28))]
            for channels, out_channels, stride in [(1, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 1)]:
                layers += [nn.Conv2d(channels, out_channels, 3, stride, padding=1), nn.ReLU()]
            layers += [nn.Flatten(), nn.Linear(64 * 14 * 14, 32), nn.ReLU(), nn.Linear(32, 2 * case.latent)]
            self.encoder = nn.Sequential(*layers)
            self.decoder = nn.Sequential(
                nn.Linear(case.latent, 64 * 14 * 14),
                nn.ReLU(),
                nn.Unflatten(1, (64, 14, 14)),
                nn.ConvTranspose2d(64, 32, 3, 2, padding=1, output_padding=1),
                nn.ReLU(),
                nn.Conv2d(32, 1, 3, padding=1),
                nn.Flatten(),
            )

        forward = ByHand.forward

    return ByHand() if case.hidden else Convolutional()


def eager(case: Case, device: str, pace: Pace) -> None:
    """Train in a hand-written loop with a fused optimizer, with all images as floats in memory."""
    import torch

    x, model = images(case, device), torch_vae(case).to(device)
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 1 / len(x)}, {"params": biases}]
    if case.hidden:  # PyTorch has a fused Adagrad for the CPU only
        optimizer = torch.optim.Adagrad(groups, lr=0.02, fused=device == "cpu")
    else:
        optimizer = torch.optim.RMSprop(model.parameters(), 1e-3)
    while True:
        for index in torch.randperm(len(x), device=device).split(case.batch):
            loss = model(x[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            pace()


def lightning(case: Case, device: str, pace: Pace) -> None:
    """Train as in Lightning's documentation: a DataLoader, automatic optimization, a logged loss, the progress bar."""
    import pytorch_lightning as pl
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch_vae(case)

        def training_step(self, batch, batch_idx):
            loss = self.model(batch[0])
            self.log("loss", loss, prog_bar=True)
            return loss

        def on_train_batch_end(self, *_):
            pace()

        def configure_optimizers(self):
            return torch.optim.Adagrad(self.parameters(), lr=0.02)

    loader = DataLoader(TensorDataset(images(case, "cpu")), batch_size=100, shuffle=True)
    pl.Trainer(max_epochs=10**6, accelerator="gpu" if device == "cuda" else "cpu").fit(Module(), loader)


def pythae(case: Case, device: str, pace: Pace) -> None:
    """Train with pythae's own trainer."""
    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(case.pixels, case.hidden), nn.Tanh())
            self.mean, self.log_variance = nn.Linear(case.hidden, case.latent), nn.Linear(case.hidden, case.latent)

        def forward(self, x):
            h = self.hidden(x)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            layers = nn.Linear(case.latent, case.hidden), nn.Tanh(), nn.Linear(case.hidden, case.pixels), nn.Sigmoid()
            self.layers = nn.Sequential(*layers)

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    class Steps(TrainingCallback):
        def on_train_step_end(self, *_, **__):
            pace()

    model = VAE(
        VAEConfig(input_dim=(case.pixels,), latent_dim=case.latent, reconstruction_loss="bce"), Encoder(), Decoder()
    )
    config = BaseTrainerConfig(
        output_dir="pythae",
        num_epochs=10**6,
        per_device_train_batch_size=100,
        optimizer_cls="Adagrad",
        learning_rate=0.02,
        no_cuda=device == "cpu",
    )
    from pythae.data.datasets import BaseDataset

    x = images(case, "cpu")
    BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=config, callbacks=[Steps()]).train()


def jax(case: Case, device: str, pace: Pace) -> None:
    """Train by jax.lax.scan over 100 updates, compiled as one program."""
    import jax
    import numpy as np
    from jax import numpy as jnp

    x = jnp.asarray(images(case, "cpu").numpy())
    rng = np.random.default_rng(0)
    features = case.pixels * (1 if case.likelihood == "bernoulli" else 2)
    sizes = [(case.pixels, case.hidden), (case.hidden, 2 * case.latent), (case.latent, case.hidden)]
    sizes.append((case.hidden, features))
    weights = [jnp.asarray(rng.normal(0, 0.01, size), jnp.float32) for size in sizes]
    biases = [jnp.zeros(size[1]) for size in sizes]

    def loss(parameters, x, key):
        (a, b, c, d), (e, f, g, h) = parameters
        mean, log_variance = jnp.split(jnp.tanh(x @ a + e) @ b + f, 2, 1)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        out = jnp.tanh(z @ c + g) @ d + h
        if case.likelihood == "bernoulli":
            nll = (jnp.logaddexp(0, out) - x * out).sum(1)
        else:
            mu, s = jnp.split(out, 2, 1)
            s = jnp.maximum(s, 2 * jnp.log(0.01))
            nll = 0.5 * (jnp.log(2 * jnp.pi) + s + (x - jax.nn.sigmoid(mu)) ** 2 * jnp.exp(-s)).sum(1)
        kl = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).sum(1)
        return (nll + kl).mean()

    def update(state, step):
        parameters, sums, key = state
        index, key, noise = step, *jax.random.split(key)
        gradients = jax.grad(loss)(parameters, x[index], noise)
        gradients = ([g + w / len(x) for g, w in zip(gradients[0], parameters[0], strict=True)], gradients[1])
        sums = jax.tree.map(lambda s, g: s + g * g, sums, gradients)
        parameters = jax.tree.map(lambda p, g, s: p - 0.02 * g / (jnp.sqrt(s) + 1e-10), parameters, gradients, sums)
        return (parameters, sums, key), None

    run = jax.jit(lambda state, indices: jax.lax.scan(update, state, indices)[0], donate_argnums=0)
    state = ((weights, biases), jax.tree.map(jnp.zeros_like, (weights, biases)), jax.random.key(0))
    while True:
        passes = np.concatenate([rng.permutation(len(x)) for _ in range(1 + 10_000 // len(x))])
        for indices in passes[: len(passes) // 10_000 * 10_000].reshape(-1, 100, 100):
            state = jax.block_until_ready(run(state, jnp.asarray(indices)))
            pace(100)


def vae_exp(case: Case, device: str, pace: Pace, overrides: list[str]) -> None:
    """Train by the command line with everything on: W&B offline, csv, checkpoints, the progress bar."""
    from vae_exp.cli.main import main
    from vae_exp.training.lasting_import import lasting_import

    with lasting_import():  # as the command does
        import pytorch_lightning as pl

        from vae_exp.training import fit as training

    class Paced(pl.Callback):
        def on_train_batch_end(self, trainer, experiment, *_):
            pace(experiment.steps - pace.done)

    build = training.build_trainer

    def with_pace(*arguments):
        trainer = build(*arguments)
        trainer.callbacks.append(Paced())
        return trainer

    training.build_trainer = with_pace
    endless = ["samples=1000000000", "callbacks.evaluate.decades=0.01", f"trainer.accelerator={device}"]
    sys.argv = ["vae_exp", f"+experiment={case.experiment}", *endless, *overrides]
    main()


PEERS = {"eager": eager, "lightning": lightning, "pythae": pythae, "jax": jax}


def work(peer: str, case: Case, device: str, overrides: list[str]) -> None:
    """Train until the parent process ends this one."""
    pace = Pace(case.steps)
    if peer == "vae_exp":
        vae_exp(case, device, pace, overrides)
    else:
        PEERS[peer](case, device, pace)


def first(case: Case, device: str) -> None:
    """Report when the first update of vae_exp is done."""
    pace = Pace(1)
    pace.goal = 1
    vae_exp(case, device, pace, ["trainer.compile=auto", "samples=1000000", "trainer.steps_per_execution=1"])


if __name__ == "__main__":
    _, peer, case, device, *overrides = sys.argv
    if peer == "first":
        first(CASES[case], device)
    work(peer, CASES[case], device, overrides)
