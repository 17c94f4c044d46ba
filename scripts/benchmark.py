"""Compare the speed of vae_exp with other programs that do the same work, and write docs/performance.md.

    pip install -e '.[benchmark]'
    python scripts/benchmark.py                          # everything, about 12 minutes on two cores
    python scripts/benchmark.py --dry --cases mnist      # one table of peers; prints only

Each program trains in its own process and waits while another one is measured. The processes take turns, so that
changes of the machine's speed affect all of them equally. The ratios of the best and of the median turns are reliable,
the absolute numbers less so.
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
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmark_peers import CASES

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("VAE_EXP_DATA", "data")).resolve()
PAGE = ROOT / "docs" / "performance.md"
PLOTS = {"cpu": ROOT / "docs" / "images" / "performance.png", "cuda": ROOT / "docs" / "images" / "performance-gpu.png"}
WHOLE_TURNS = 3  # of the default command
LOOP_TURNS = 1_000_000 // CASES["mnist"].batch // CASES["mnist"].steps  # as many updates as in the default command
PEERS = Path(__file__).with_name("benchmark_peers.py")


class Worker:
    """A process that trains a number of updates at each `turn`."""

    def __init__(self, peer: str, case: str, device: str, overrides: list[str], script: Path) -> None:
        self.directory = tempfile.TemporaryDirectory()
        command = [sys.executable, str(script), peer, case, device, *overrides]
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
        self._read()  # its first message says that it has warmed up
        self.seconds_to_warm = time.perf_counter() - started

    def turn(self) -> dict:
        """Train one turn; return its steps per second and the memory in use after it."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> dict:
        """End the process; return its largest memory use."""
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
    """The results of one worker: the best and the median steps per second; peak and growth of memory in MiB."""

    best: float
    median: float
    peak: float
    growth: float


def take_turns(
    specs: dict[str, tuple[str, str, list[str]]], turns: int, device: str, script: Path = PEERS
) -> dict[str, Measured]:
    """Start a worker of the script for each (peer, case, overrides), let the workers take turns; return the results."""
    workers = {name: Worker(peer, case, device, overrides, script) for name, (peer, case, overrides) in specs.items()}
    results: dict[str, list[dict]] = {name: [] for name in workers}
    for _ in range(turns):
        for name, worker in workers.items():
            results[name].append(worker.turn())
    measured = {}
    for name, worker in workers.items():
        speeds = [turn["steps_per_second"] for turn in results[name]]
        growth = results[name][-1]["resident"] - results[name][0]["resident"]
        measured[name] = Measured(max(speeds), statistics.median(speeds), worker.close()["peak"], growth)
        print(f"{name:44} best {max(speeds):7.0f}  median {measured[name].median:7.0f} steps/s", flush=True)
    return measured


def peers(case: str, turns: int, device: str) -> str:
    """Measure vae_exp and its peers; return a table."""
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
    """Measure the speed for several batch sizes, hidden units and latent sizes; return a table."""
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
    """Measure start-up, evaluations and figures of `python -m vae_exp +experiment=mnist_vae`; return a table."""
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}

        def python(*arguments: str) -> float:
            started = time.perf_counter()
            command = [sys.executable, *arguments]
            subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
            return time.perf_counter() - started

        def seconds(*arguments: str) -> float:
            return python("-m", "vae_exp", *arguments)

        def first_step() -> float:
            worker = subprocess.Popen(
                [sys.executable, str(PEERS), "first", "mnist", device],
                stdout=subprocess.PIPE, text=True, cwd=directory, env=environment,
            )  # fmt: skip
            started = time.perf_counter()
            next(line for line in worker.stdout if line.startswith("@"))
            passed = time.perf_counter() - started
            worker.kill()
            return passed

        helps = [seconds("--help") for _ in range(5)]
        firsts = [first_step() for _ in range(5)]
        imports = {name: [python("-c", f"import {name}") for _ in range(5)] for name in ("torch", "pytorch_lightning")}
        loop = Worker("eager", "mnist", device, [], PEERS)
        wholes, trainings, loops = [], [], []
        for turn in range(WHOLE_TURNS):
            run = [f"hydra.run.dir=run{turn}", f"paths.cache=cache{turn}"]  # no turn finds a compiled program
            wholes.append(seconds("+experiment=mnist_vae", f"trainer.accelerator={device}", *run))
            lines = (Path(directory) / f"run{turn}" / "metrics.csv").read_text().splitlines()
            row = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
            trainings.append(float(row["seconds"]))
            loops.append(sum(CASES["mnist"].steps / loop.turn()["steps_per_second"] for _ in range(LOOP_TURNS)))
            print(f"the default command trains for {trainings[-1]:.1f} s, the loop for {loops[-1]:.1f} s", flush=True)
        loop.close()
        without = ["callbacks.evaluate.decades=0.01", "~callbacks.figures"]
        bare = seconds("+experiment=mnist_vae", "hydra.run.dir=bare", f"trainer.accelerator={device}", *without)
    evaluations = len(lines) - 1
    share = float(row["evaluation_seconds"]) / float(row["seconds"])
    each = float(row["evaluation_seconds"]) / evaluations
    return "\n".join(
        [
            "| | seconds |\n|---|---|",
            f"| `--help`, best and median of five | {min(helps):.2f}, {statistics.median(helps):.2f} |",
            *(
                f"| `import {name}`, best and median of five | {min(times):.2f}, {statistics.median(times):.2f} |"
                for name, times in imports.items()
            ),
            f"| command to first update, best and median of 5 | {min(firsts):.2f}, {statistics.median(firsts):.2f} |",
            *(
                f"| {name}, best and median of {WHOLE_TURNS} | {min(times):.1f}, {statistics.median(times):.1f} |"
                for name, times in {
                    f"the whole command, {float(row['samples']):,.0f} samples, nothing compiled before": wholes,
                    "its training, with compiling and evaluations": trainings,
                    "the same number of updates by the hand-written loop, in turns with it": loops,
                }.items()
            ),
            f"| the whole command with one evaluation and without figures | {bare:.1f} |",
            f"| one evaluation of all 70,000 images (there were {evaluations}) | {each:.2f} |",
            f"| share of the evaluations in the training time | {share:.1%} |",
        ]
    )


def long_memory(turns: int, device: str) -> str:
    """Measure how the resident memory changes over many updates; return a sentence."""
    m = take_turns({"memory": ("vae_exp", "mnist", [])}, turns, device)["memory"]
    return f"Over {(turns - 1) * CASES['mnist'].steps:,} updates the resident memory changed by {m.growth:+.1f} MiB."


MEASURED: dict[str, dict[str, Measured]] = {}
SIZES: dict[str, float] = {}


def plot(path: Path) -> None:
    """Draw the ratios to the hand-written loop, and images per second against size."""
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
        speeds = {int(re.sub(r"\D", "", k.split("=")[1])): v for k, v in SIZES.items() if key in k}
        points = sorted((speeds | {default: SIZES["dataset.batch_size=100"]}).items())
        axes[1].loglog(*zip(*points, strict=True), "o-", label=key)
    axes[1].set_xlabel("size")
    axes[1].set_ylabel("images per second")
    axes[1].legend()
    figure.savefig(path, dpi=130)


def machine(device: str) -> str:
    """Describe the machine, the installed packages and the commit."""
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


def main() -> None:
    """Measure, and write the results between the marks in docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--turns", type=int, default=9, help="number of turns of each program")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument(
        "--dry", action="store_true", help="compare the programs only, and print the tables instead of writing the page"
    )
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
    plot(PLOTS[options.device])
    page = PAGE.read_text()
    for name, text in parts.items():
        mark = rf"(<!-- {name}-{options.device} -->\n).*?(<!-- end -->)"
        page = re.sub(mark, lambda marks, text=text: f"{marks[1]}{text}\n{marks[2]}", page, flags=re.DOTALL)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
