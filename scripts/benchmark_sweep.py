"""Measure what jobs beside each other cost: the start of a job, the memory of one more, the speed of each.

    python scripts/benchmark_sweep.py --jobs 2 --samples 200000

Every job is `+experiment=mnist_vae` with one thread, without a logger and figures. For every launcher there are three
sweeps per turn: one job alone; `--jobs` jobs at a time; twice as many short jobs, for their start. The table has the
median over the turns. The first jobs start with the command, later ones with their process, or when their folder is
written if the process has run a job before. Memory is proportional (PSS): all processes of the command together, the
median over the time in which all jobs train.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

JOB = ["+experiment=mnist_vae", "logger=none", "callbacks.figures=null", "touch=false", "trust=benchmark_sweep"]
DIGITS = (2, 2, 0, 0, 0, 0, 2)
SHORT = ["samples=1000", "callbacks.evaluate.images=100"]
KEYS = {"processes": "hydra.launcher.jobs={}", "joblib": "hydra.launcher.n_jobs={}"}
BETWEEN_READINGS = 5  # seconds
MODULES = {"processes": "hydra_plugins.vae_exp_processes", "joblib": "hydra_plugins.hydra_joblib_launcher"}


def timer(folder: str) -> Any:
    """Build a callback that writes when the process of a job started and when its first update began."""
    import pytorch_lightning as pl

    class Timer(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            file = Path(folder) / f"{pl_module.seed}.json"
            if not file.exists():
                file.write_text(
                    json.dumps({"pid": os.getpid(), "update": time.time(), "process": started(os.getpid())})
                )

    return Timer()


def started(pid: int) -> float:
    """Return when a process started, in seconds since 1970, exact to a hundredth of a second."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def processes_below(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def proportional_memory(pids: list[int]) -> float:
    """Return the memory of processes together, MB: each page counts once, however many of them share it."""
    kilobytes = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1000


@dataclass
class Sweep:
    """What a sweep showed: seconds to the first update and updates per second of each job; memory of all, MB."""

    starts: list[float] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    memory: float = 0.0


def run(launcher: str, at_a_time: int, jobs: int, words: list[str]) -> Sweep:
    """Run a sweep and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        }
        launch = [f"hydra/launcher={launcher}", KEYS[launcher].format(at_a_time), "hydra.sweep.dir=sweep"]
        callback = f"+callbacks.timer={{_target_:benchmark_sweep.timer,folder:'{folder}'}}"
        command = ["-m", "vae_exp", "-m", *JOB, *words, *launch, f"seed=range({jobs})", callback]
        with (path / "output").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=folder, env=environment, stdout=output, stderr=output
            )
            sweep, memory, began = Sweep(), [0.0], time.time()
            read = began
            while process.poll() is None:
                running = len(list(path.glob("*.json"))) - len(list(path.glob("sweep/*/results.json")))
                # the kernel walks all pages of a process for one reading (30 ms): more of them would slow the jobs
                if running == at_a_time and time.time() - read > BETWEEN_READINGS:  # all of them are training
                    memory.append(proportional_memory(processes_below(process.pid)))
                    read = time.time()
                time.sleep(0.2)
            sweep.memory = statistics.median(memory[1:] or memory)
        if process.returncode:
            raise SystemExit((path / "output").read_text()[-3000:])
        pids: set[int] = set()
        for job in range(jobs):
            times = json.loads((path / f"{job}.json").read_text())
            start = times["process"]
            if times["pid"] in pids:  # an earlier job was in this process
                start = (path / "sweep" / str(job) / ".hydra" / "config.yaml").stat().st_mtime
            sweep.starts.append(times["update"] - (began if job < at_a_time else start))
            pids.add(times["pid"])
            with (path / "sweep" / str(job) / "metrics.csv").open() as file:
                *_, last = csv.DictReader(file)
            seconds = float(last["seconds"]) - float(last["evaluation_seconds"])
            sweep.speeds.append(float(last["step"]) / seconds)
    return sweep


def main() -> None:
    """Measure every launcher that is installed, in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="jobs at a time")
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--launchers", nargs="+", default=list(MODULES), choices=list(MODULES))
    arguments = parser.parse_args()
    jobs, words = arguments.jobs, [f"samples={arguments.samples}"]
    launchers = [name for name in arguments.launchers if find_spec("hydra_plugins") and find_spec(MODULES[name])]
    rows: dict[str, list[list[float]]] = {name: [] for name in launchers}
    for turn in range(arguments.turns):
        for name in launchers:
            alone, beside = run(name, 1, 1, words), run(name, jobs, jobs, words)
            short = run(name, jobs, 2 * jobs, SHORT)
            first, later = statistics.mean(short.starts[:jobs]), statistics.mean(short.starts[jobs:])
            further = (beside.memory - alone.memory) / max(1, jobs - 1)
            efficiency = sum(beside.speeds) / jobs / alone.speeds[0]
            rows[name].append([first, later, alone.memory, further, alone.speeds[0], sum(beside.speeds), efficiency])
            print(f"turn {turn + 1}, {name}: {[round(value, 3) for value in rows[name][-1]]}", file=sys.stderr)
    heads = [
        "s to the first update: first jobs",
        "later jobs",
        "MB of a sweep of one job",
        "MB per further job",
        "updates/s: one alone",
        f"{jobs} together",
        "efficiency",
    ]
    print("| `hydra/launcher=` |", " | ".join(heads), "|")
    print("|---|" + "---|" * len(heads))
    for name, measured in rows.items():
        medians = [statistics.median(column) for column in zip(*measured, strict=True)]
        print(f"| `{name}` |", " | ".join(f"{m:.{d}f}" for m, d in zip(medians, DIGITS, strict=True)), "|")


if __name__ == "__main__":
    main()
