"""Compare the speed of every architecture with a hand-written loop of the same model, and print a table.

    pip install -e '.[benchmark]'
    python scripts/benchmark_family.py                   # about 15 minutes on two cores
    python scripts/benchmark_family.py --cases ae m2     # some rows

The loop computes the loss with PyTorch's own functions and steps with a fused Adam; all images are floats in memory.
vae_exp runs with everything on, compiled and not. The programs take turns, as in scripts/benchmark.py.
"""

import argparse
import sys
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


PEERS["loop"] = loop


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7, help="number of turns of each program")
    parser.add_argument("--cases", nargs="+", default=list(OVERRIDES), choices=list(OVERRIDES))
    options = parser.parse_args()
    print("| | by hand, steps/s | compiled ÷ by hand, best | median | eager ÷ by hand, best | median |")
    print("|---|---|---|---|---|---|")
    for name in options.cases:
        words = [*OVERRIDES[name], *COMMON]
        specs = {
            "by hand": ("loop", name, []),
            "compiled": ("vae_exp", name, [*words, "trainer.compile=true"]),
            "eager": ("vae_exp", name, [*words, "trainer.compile=false"]),
        }
        hand, compiled, eager = take_turns(specs, options.turns, "cpu", Path(__file__)).values()
        ratios = [f"{m.best / hand.best:.2f} | {m.median / hand.median:.2f}" for m in (compiled, eager)]
        print(f"| {name} | {hand.best:,.0f} | {' | '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in ("loop", "vae_exp"):
        _, peer, name, device, *overrides = sys.argv
        work(peer, CASES[name], device, overrides)
    main()
