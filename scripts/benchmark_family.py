"""Compare the speed of every architecture with a hand-written loop of the same model, and print a table.

    pip install -e '.[benchmark]'
    python scripts/benchmark_family.py                   # about 15 minutes on two cores
    python scripts/benchmark_family.py --cases ae m2     # some rows

The loop computes the loss with PyTorch's own functions and steps with a fused Adam; all images are floats in memory.
JAX scans over 100 updates, for the models that take a few lines in it. vae_exp runs with everything on, compiled and
not. The programs take turns, as in scripts/benchmark.py.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from benchmark import take_turns
from benchmark_peers import CASES, PEERS, Case, Pace, images, work

OVERRIDES = {
    "ae": ["architecture=ae"],
    "dae": ["architecture=dae"],
    "cae": ["architecture=cae"],
    "vae": ["architecture=vae"],
    "cvae": ["architecture=cvae"],
    "m2": ["architecture=m2", "dataset.labels=100"],
    "iwae": ["architecture=vae", "objective=iwae", "objective.samples=50", "dataset.batch_size=20"],
    "aae": ["architecture=aae"],
}
"""The overrides of each row. All have 784–500–20 units with tanh, Bernoulli pixels and Adam."""

COMMON = ["architecture.latent_dim=20", "optimizer=adam", "weight_prior=0", "logger=none"]
HIDDEN, LATENT, CLASSES, LABELLED, K = 500, 20, 10, 10, 50
STEPS = {"m2": 60, "iwae": 60}
"""Updates in a turn, where they are not 300."""

CASES |= {
    name: Case("mnist_vae", name, 784, HIDDEN, LATENT, "bernoulli", 20 if name == "iwae" else 100, steps, ("vae_exp",))
    for name, steps in {name: STEPS.get(name, 300) for name in OVERRIDES}.items()
}


def by_hand(name: str):
    """Build a model as one would write it by hand. Return its modules, and its loss as a function of images, labels."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    inputs = 784 + (CLASSES if name in ("cvae", "m2") else 0)
    codes = LATENT if name in ("ae", "dae", "cae", "aae") else 2 * LATENT
    latents = LATENT + (CLASSES if name in ("cvae", "m2") else 0)
    encoder = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, codes))
    decoder = nn.Sequential(nn.Linear(latents, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 784))
    classifier = nn.Sequential(nn.Linear(784, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES))
    discriminator = nn.Sequential(nn.Linear(LATENT, 500), nn.ReLU(), nn.Linear(500, 500), nn.ReLU(), nn.Linear(500, 1))
    extra = {"m2": [classifier], "aae": [discriminator]}.get(name, [])
    modules = nn.ModuleList([encoder, decoder, *extra])

    def nll(logits, x):
        return F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)

    def terms(x, c):
        mean, log_variance = encoder(torch.cat([x, c], 1)).chunk(2, 1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        return nll(decoder(torch.cat([z, c], 1)), x), kl

    def ae(x, y):
        return nll(decoder(encoder(x)), x).mean()

    def dae(x, y):
        return nll(decoder(encoder(x * (torch.rand_like(x) >= 0.25))), x).mean()

    def cae(x, y):  # ‖V diag(s') W‖²_F in closed form
        first, _, last = encoder
        h = torch.tanh(first(x))
        slope = 1 - h.square()
        norm = ((slope @ ((last.weight.T @ last.weight) * (first.weight @ first.weight.T))) * slope).sum(1)
        return (nll(decoder(last(h)), x) + 0.1 * norm).mean()

    def vae(x, y):
        reconstruction, kl = terms(x, x.new_zeros(len(x), 0))
        return (reconstruction + kl).mean()

    def cvae(x, y):
        reconstruction, kl = terms(x, F.one_hot(y, CLASSES).float())
        return (reconstruction + kl).mean()

    def m2(x, y):  # the first images have a label; every other image is seen with every class
        c = torch.eye(CLASSES).repeat_interleave(len(x), 0)
        reconstruction, kl = terms(x.repeat(CLASSES, 1), c)
        cost = (reconstruction + kl).view(CLASSES, len(x)).T
        log_q = classifier(x).log_softmax(1)
        known = (torch.arange(len(x)) < LABELLED)[:, None]
        q = torch.where(known, F.one_hot(y, CLASSES).float(), log_q.exp())
        bound = (q * (cost + torch.where(known, 0.0, log_q))).sum(1)
        return bound.mean() + F.nll_loss(log_q[:LABELLED], y[:LABELLED])

    def iwae(x, y):
        mean, log_variance = encoder(x).chunk(2, 1)
        noise = torch.randn(K, *mean.shape)
        z = mean + torch.exp(0.5 * log_variance) * noise
        log_ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(-1)
        return -(log_ratio - nll(decoder(z), x)).logsumexp(0).mean()

    def aae(x, y):
        z = encoder(x)
        of_encoder = F.softplus(-torch.func.functional_call(
            discriminator, {n: p.detach() for n, p in discriminator.named_parameters()}, (z,)
        ))  # fmt: skip
        of_discriminator = F.softplus(-discriminator(torch.randn_like(z))) + F.softplus(discriminator(z.detach()))
        return nll(decoder(z), x).mean() + 10 * of_encoder.mean() + of_discriminator.mean()

    losses = {"ae": ae, "dae": dae, "cae": cae, "vae": vae, "cvae": cvae, "m2": m2, "iwae": iwae, "aae": aae}
    return modules, losses[name]


def loop(case: Case, device: str, pace: Pace) -> None:
    """Train a model of the family in a hand-written loop with a fused Adam."""
    import torch

    x = images(case, device)
    y = torch.randint(CLASSES, (len(x),))  # which labels they are does not change the speed
    modules, loss_of = by_hand(case.title)
    optimizer = torch.optim.Adam(modules.parameters(), lr=1e-3, fused=True)
    while True:
        for index in torch.randperm(len(x)).split(case.batch):
            loss = loss_of(x[index], y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            pace()


def scan(case: Case, device: str, pace: Pace) -> None:
    """Train by jax.lax.scan over 100 updates with Adam, compiled as one program."""
    import jax
    import numpy as np
    from jax import numpy as jnp

    x = jnp.asarray(images(case, "cpu").numpy())
    rng = np.random.default_rng(0)
    y = jnp.asarray(rng.integers(CLASSES, size=len(x)))
    name = case.title
    classes = CLASSES if name == "cvae" else 0
    codes = LATENT if name in ("ae", "dae") else 2 * LATENT
    sizes = [(784 + classes, HIDDEN), (HIDDEN, codes), (LATENT + classes, HIDDEN), (HIDDEN, 784)]
    weights = [jnp.asarray(rng.normal(0, 0.01, size), jnp.float32) for size in sizes]
    biases = [jnp.zeros(size[1]) for size in sizes]

    def loss(parameters, x, y, key):
        (a, b, c, d), (e, f, g, h) = parameters
        label, dropped = jax.nn.one_hot(y, classes), x
        if name == "dae":
            dropped = x * (jax.random.uniform(key, x.shape) >= 0.25)
        code = jnp.tanh(jnp.concatenate([dropped, label], 1) @ a + e) @ b + f
        if name in ("ae", "dae"):
            logits = jnp.tanh(code @ c + g) @ d + h
            return (jnp.logaddexp(0, logits) - x * logits).sum(1).mean()
        mean, log_variance = jnp.split(code, 2, 1)
        draws = K if name == "iwae" else 1
        noise = jax.random.normal(key, (draws, *mean.shape))
        z = mean + jnp.exp(0.5 * log_variance) * noise
        given = jnp.concatenate([z, jnp.broadcast_to(label, (draws, *label.shape))], -1)
        logits = jnp.tanh(given @ c + g) @ d + h
        nll = (jnp.logaddexp(0, logits) - x * logits).sum(-1)
        if name == "iwae":
            log_ratio = 0.5 * (noise**2 + log_variance - z**2).sum(-1)
            return -jax.nn.logsumexp(log_ratio - nll, 0).mean()
        kl = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).sum(1)
        return (nll[0] + kl).mean()

    def update(state, index):
        parameters, first, second, step, key = state
        key, noise = jax.random.split(key)
        gradients = jax.grad(loss)(parameters, x[index], y[index], noise)
        step = step + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, first, second)
        return (parameters, first, second, step, key), None

    run = jax.jit(lambda state, indices: jax.lax.scan(update, state, indices)[0], donate_argnums=0)
    zeros = [jax.tree.map(jnp.zeros_like, (weights, biases)) for _ in range(2)]
    state = ((weights, biases), *zeros, jnp.zeros(()), jax.random.key(0))
    updates = min(100, case.steps)
    while True:
        indices = rng.permutation(len(x))[: len(x) // (updates * case.batch) * updates * case.batch]
        for block in indices.reshape(-1, updates, case.batch):
            state = jax.block_until_ready(run(state, jnp.asarray(block)))
            pace(updates)


IN_JAX = ("ae", "dae", "vae", "cvae", "iwae")
"""The models that are simple to write in JAX."""

PEERS |= {"loop": loop, "scan": scan}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7, help="number of turns of each program")
    parser.add_argument("--cases", nargs="+", default=list(OVERRIDES), choices=list(OVERRIDES))
    options = parser.parse_args()
    print("| | by hand, steps/s | compiled ÷ by hand, best, median | eager ÷ by hand | JAX ÷ by hand |")
    print("|---|---|---|---|---|")
    for name in options.cases:
        words = [*OVERRIDES[name], *COMMON]
        specs = {
            "by hand": ("loop", name, []),
            "compiled": ("vae_exp", name, [*words, "trainer.compile=true"]),
            "eager": ("vae_exp", name, [*words, "trainer.compile=false"]),
        }
        if name in IN_JAX and find_spec("jax"):
            specs["JAX"] = ("scan", name, [])
        hand, *others = take_turns(specs, options.turns, "cpu", Path(__file__)).values()
        ratios = [f"{m.best / hand.best:.2f}, {m.median / hand.median:.2f}" for m in others]
        print(f"| {name} | {hand.best:,.0f} | {' | '.join([*ratios, ''][:3])} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in ("loop", "scan", "vae_exp"):
        _, peer, name, device, *overrides = sys.argv
        work(peer, CASES[name], device, overrides)
    main()
