"""Measure vae_exp beside its peers on the same work, and write docs/performance.md.

    pip install -e '.[benchmark]'
    python scripts/benchmark.py                          # everything, about 12 minutes on two cores
    python scripts/benchmark.py --dry --cases mnist      # one table of peers; prints only

Every peer trains in a process of its own and waits while another one is measured. The processes take turns, so that
a machine whose speed drifts treats them alike; the ratios of the best and of the median turns are what to trust.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("VAE_EXP_DATA", "data")).resolve()
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "performance.png"
WARM_UP = 200


@dataclass(frozen=True)
class Case:
    """One experiment of vae_exp, and the sizes that a peer needs to do the same work."""

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


class Worker:
    """A process that trains `steps` updates whenever it is told to."""

    def __init__(self, peer: str, case: str, device: str, overrides: list[str]) -> None:
        self.directory = tempfile.TemporaryDirectory()
        command = [sys.executable, __file__, "worker", peer, case, "--device", device, *overrides]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", "VAE_EXP_DATA": str(DATA)}
        self.log = (Path(self.directory.name) / "log").open("w+")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=self.directory.name,
            env=environment,
        )
        self.name = f"{peer} {case}"
        started = time.perf_counter()
        self._read()  # warmed up
        self.seconds_to_warm = time.perf_counter() - started

    def turn(self) -> dict:
        """Steps per second of one turn, and the memory in use after it."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> dict:
        """End it; the most memory it had."""
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        last = self._read()
        self.process.wait()
        self.directory.cleanup()
        return last

    def _read(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self.log.seek(0)
        raise SystemExit(f"{self.name} ended:\n{self.log.read()[-3000:]}")


@dataclass(frozen=True)
class Measured:
    """What the turns of one worker gave: steps per second and MiB."""

    best: float
    median: float
    peak: float
    growth: float


def take_turns(specs: dict[str, tuple[str, str, list[str]]], turns: int, device: str) -> dict[str, Measured]:
    """Let workers (peer, case, overrides) take turns."""
    workers = {name: Worker(peer, case, device, overrides) for name, (peer, case, overrides) in specs.items()}
    seen: dict[str, list[dict]] = {name: [] for name in workers}
    for _ in range(turns):
        for name, worker in workers.items():
            seen[name].append(worker.turn())
    measured = {}
    for name, worker in workers.items():
        speeds = [turn["steps_per_second"] for turn in seen[name]]
        growth = seen[name][-1]["resident"] - seen[name][0]["resident"]
        measured[name] = Measured(max(speeds), statistics.median(speeds), worker.close()["peak"], growth)
        print(f"{name:44} best {max(speeds):7.0f}  median {measured[name].median:7.0f} steps/s", flush=True)
    return measured


def peers(case: str, turns: int, device: str) -> str:
    """vae_exp beside its peers, as a table."""
    specs = {
        "hand-written eager loop": ("eager", case, []),
        "Lightning with a DataLoader": ("lightning", case, []),
        "pythae": ("pythae", case, []),
        "JAX, lax.scan": ("jax", case, []),
        "**vae_exp**, everything on": ("vae_exp", case, []),
        "vae_exp, trainer.compile=false": ("vae_exp", case, ["trainer.compile=false"]),
        "vae_exp, and trainer.fast_linear=false": (
            "vae_exp",
            case,
            ["trainer.compile=false", "trainer.fast_linear=false"],
        ),
        "vae_exp, and trainer.steps_per_execution=1": (
            "vae_exp",
            case,
            ["trainer.compile=false", "trainer.fast_linear=false", "trainer.steps_per_execution=1"],
        ),
    }
    known = {"eager", "vae_exp"} | {peer for peer in CASES[case].peers if find_spec(MODULES.get(peer, "torch"))}
    measured = take_turns(
        {k: spec for k, spec in specs.items() if spec[0] in known & set(CASES[case].peers)}, turns, device
    )
    base = measured["hand-written eager loop"]
    MEASURED[case] = measured
    rows = [
        f"| {name} | {m.best:,.0f} | {m.median:,.0f} "
        f"| {m.best / base.best:.2f} | {m.median / base.median:.2f} | {m.peak:,.0f} |"
        for name, m in measured.items()
    ]
    head = "| | steps/s, best | median | best ÷ eager | median ÷ eager | peak MiB |\n|---|---|---|---|---|---|"
    return "\n".join([f"### {CASES[case].title}, batch {CASES[case].batch}\n", head, *rows])


def sizes(turns: int, device: str) -> str:
    """Cost against batch size, hidden units and latent size."""
    changes = [f"dataset.batch_size={n}" for n in (20, 100, 500, 2000)]  # 100 is the default
    changes += [f"network.hidden_sizes=[{n}]" for n in (100, 1000, 2000)]
    changes += [f"architecture.latent_dim={n}" for n in (2, 200)]
    specs = {change: ("vae_exp", "mnist", [change, "trainer.compile=true"]) for change in changes}
    rows = []
    for change, m in take_turns(specs, turns, device).items():
        batch = int(change.split("=")[1]) if "batch" in change else 100
        SIZES[change] = m.best * batch
        rows.append(f"| `{change}` | {m.best:,.0f} | {m.median:,.0f} | {m.best * batch:,.0f} | {m.peak:,.0f} |")
    return "\n".join(["| changed | steps/s, best | median | images/s, best | peak MiB |\n|---|---|---|---|---|", *rows])


def whole_run(device: str) -> str:
    """Start-up, evaluations and figures of `python -m vae_exp +experiment=mnist_vae`."""
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}

        def seconds(*arguments: str) -> float:
            started = time.perf_counter()
            command = [sys.executable, "-m", "vae_exp", *arguments]
            subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
            return time.perf_counter() - started

        def first_step() -> float:
            worker = subprocess.Popen(
                [sys.executable, __file__, "worker", "first", "mnist", "--device", device],
                stdout=subprocess.PIPE, text=True, cwd=directory, env=environment,
            )  # fmt: skip
            started = time.perf_counter()
            next(line for line in worker.stdout if line.startswith("@"))
            passed = time.perf_counter() - started
            worker.kill()
            return passed

        helps = [seconds("--help") for _ in range(5)]
        firsts = [first_step() for _ in range(5)]
        whole = seconds("+experiment=mnist_vae", "hydra.run.dir=run", f"trainer.accelerator={device}")
        without = ["callbacks.evaluate.decades=0.01", "~callbacks.figures"]
        bare = seconds("+experiment=mnist_vae", "hydra.run.dir=bare", f"trainer.accelerator={device}", *without)
        last = (Path(directory) / "run" / "metrics.csv").read_text().splitlines()
        row = dict(zip(last[0].split(","), last[-1].split(","), strict=True))
    evaluations = len(last) - 1
    share = float(row["evaluation_seconds"]) / float(row["seconds"])
    each = float(row["evaluation_seconds"]) / evaluations
    return "\n".join(
        [
            "| | seconds |\n|---|---|",
            f"| `--help`, best and median of five | {min(helps):.2f}, {statistics.median(helps):.2f} |",
            f"| command to first update, best and median of 5 | {min(firsts):.2f}, {statistics.median(firsts):.2f} |",
            f"| the whole command, {float(row['samples']):,.0f} samples | {whole:.1f} |",
            f"| the same with one evaluation and without figures | {bare:.1f} |",
            f"| one evaluation of all 70,000 images (there were {evaluations}) | {each:.2f} |",
            f"| share of the evaluations in the training time | {share:.1%} |",
        ]
    )


def long_memory(turns: int, device: str) -> str:
    """Resident memory over many steps."""
    m = take_turns({"memory": ("vae_exp", "mnist", [])}, turns, device)["memory"]
    return f"Over {(turns - 1) * CASES['mnist'].steps:,} updates the resident memory changed by {m.growth:+.1f} MiB."


MEASURED: dict[str, dict[str, Measured]] = {}
SIZES: dict[str, float] = {}


def plot() -> None:
    """The ratios to the hand-written loop, and images per second against size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    names = list(MEASURED["mnist"])
    width = 0.8 / len(MEASURED)
    for i, (case, measured) in enumerate(MEASURED.items()):
        base = measured["hand-written eager loop"].best
        places = [names.index(name) + (i - 1) * width for name in measured]
        axes[0].barh(places, [m.best / base for m in measured.values()], width, label=case)
    axes[0].set_yticks(range(len(names)), [name.replace("*", "") for name in names])
    axes[0].invert_yaxis()
    axes[0].axvline(1, color="grey", lw=0.8)
    axes[0].set_xlabel("steps per second ÷ hand-written eager loop (best)")
    axes[0].legend()
    for key, default in {"batch_size": 100, "hidden_sizes": 500, "latent_dim": 20}.items():
        found = {int(re.sub(r"\D", "", k.split("=")[1])): v for k, v in SIZES.items() if key in k}
        points = sorted((found | {default: SIZES["dataset.batch_size=100"]}).items())
        axes[1].loglog(*zip(*points, strict=True), "o-", label=key)
    axes[1].set_xlabel("size")
    axes[1].set_ylabel("images per second")
    axes[1].legend()
    figure.savefig(PLOT, dpi=130)


def machine(device: str) -> str:
    """In words."""
    import torch

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    where = torch.cuda.get_device_name() if device == "cuda" else f"{cpu[1] if cpu else platform.machine()}"
    used = [name for name, module in MODULES.items() if find_spec(module)]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", *used))
    revision = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return (
        f"{where}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"{packages}; commit {revision.stdout.strip()}, {date.today()}"
    )


MODULES = {"pytorch-lightning": "pytorch_lightning", "jax": "jax", "pythae": "pythae"}


class Pace:
    """Called after every update (or several): reports when warm, then trains a turn each time it is told to."""

    def __init__(self, steps: int) -> None:
        self.steps, self.goal, self.done = steps, WARM_UP, 0
        self.started: float | None = None

    def __call__(self, steps: int = 1) -> None:
        self.done += steps
        if self.done < self.goal:
            return
        if self.started is None:
            self._say({"warm": True})
        else:
            seconds = time.perf_counter() - self.started
            self._say({"steps_per_second": (self.done - self.first) / seconds, "resident": memory("VmRSS")})
        if sys.stdin.readline().strip() != "go":
            self._say({"peak": memory("VmHWM")})
            os._exit(0)
        self.first, self.goal, self.started = self.done, self.done + self.steps, time.perf_counter()

    def _say(self, what: dict) -> None:
        print("@" + json.dumps(what), flush=True)


def memory(field: str) -> float:
    """Of this process, in MiB: VmRSS now, VmHWM at most."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def images(case: Case, device: str):
    """The training images of a case as one float tensor (N, pixels)."""
    import torch

    from vae_exp.dataset.frey_face import FreyFace
    from vae_exp.dataset.mnist import MNIST

    paths = {"data": os.environ["VAE_EXP_DATA"], "cache": "~/.cache/vae_exp"}
    source = MNIST(paths["cache"]) if case.pixels == 784 else FreyFace(paths["data"])
    return (source.load().train.pixels.float() / 255).flatten(1).to(torch.device(device)).contiguous()


def torch_vae(case: Case):
    """The paper's network as one would write it by hand; forward gives the loss of a batch."""
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
    """A loop by hand, its images already floats in memory."""
    import torch

    x, model = images(case, device), torch_vae(case).to(device)
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 1 / len(x)}, {"params": biases}]
    optimizer = torch.optim.Adagrad(groups, lr=0.02) if case.hidden else torch.optim.RMSprop(model.parameters(), 1e-3)
    while True:
        for index in torch.randperm(len(x), device=device).split(case.batch):
            loss = model(x[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            pace()


def lightning(case: Case, device: str, pace: Pace) -> None:
    """Lightning as its documentation has it: a DataLoader, automatic optimization, a logged loss, the bar."""
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
    """pythae's own trainer."""
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
    """jax.lax.scan over 100 updates, compiled as one."""
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
        for some in passes[: len(passes) // 10_000 * 10_000].reshape(-1, 100, 100):
            state = jax.block_until_ready(run(state, jnp.asarray(some)))
            pace(100)


def vae_exp(case: Case, device: str, pace: Pace, overrides: list[str]) -> None:
    """The command line with everything on: W&B offline, csv, checkpoints, the bar."""
    import pytorch_lightning as pl

    from vae_exp import training
    from vae_exp.__main__ import main

    class Paced(pl.Callback):
        def on_train_batch_end(self, trainer, experiment, *_):
            pace(experiment.steps - pace.done)

    build = training._build_trainer

    def with_pace(*arguments):
        trainer = build(*arguments)
        trainer.callbacks.append(Paced())
        return trainer

    training._build_trainer = with_pace
    endless = ["samples=1000000000", "callbacks.evaluate.decades=0.01", f"trainer.accelerator={device}"]
    sys.argv = ["vae_exp", f"+experiment={case.experiment}", *endless, *overrides]
    main()


PEERS: dict[str, Callable] = {"eager": eager, "lightning": lightning, "pythae": pythae, "jax": jax}


def work(peer: str, case: Case, device: str, overrides: list[str]) -> None:
    """The worker's whole life."""
    pace = Pace(case.steps)
    if peer == "vae_exp":
        vae_exp(case, device, pace, overrides)
    else:
        PEERS[peer](case, device, pace)


def first(case: Case, device: str) -> None:
    """Say when the first update is done."""
    pace = Pace(1)
    pace.goal = 1
    vae_exp(case, device, pace, ["trainer.compile=auto", "samples=1000000"])


def main() -> None:
    """Measure, and write the page between its marks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--turns", type=int, default=9, help="turns of every worker")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--dry", action="store_true", help="peers only, printed and not written")
    options = parser.parse_args()
    if not options.dry and set(options.cases) != set(CASES):
        parser.error("the page needs every case; --dry prints some of them")
    tables = [peers(case, options.turns, options.device) for case in options.cases]
    if options.dry:
        print("\n\n".join(tables))
        return
    parts = {
        "machine": machine(options.device),
        "peers": "\n\n".join(tables),
        "run": whole_run(options.device),
        "memory": long_memory(25, options.device),
        "sizes": sizes(5, options.device),
    }
    plot()
    page = PAGE.read_text()
    for name, text in parts.items():
        mark = rf"(<!-- {name}-{options.device} -->\n).*?(<!-- end -->)"
        page = re.sub(mark, lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page, flags=re.DOTALL)
    PAGE.write_text(page)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        _, _, peer, case, _, device, *overrides = sys.argv
        if peer == "first":
            first(CASES[case], device)
        work(peer, CASES[case], device, overrides)
    else:
        main()
