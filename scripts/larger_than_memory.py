"""Train on a file larger than memory: its speed beside that from memory, and a kill in the middle.

    python scripts/larger_than_memory.py folder                        # writes 3 GB into the folder
    python scripts/larger_than_memory.py folder --under "systemd-run --user --scope -p MemoryMax=1500M"

The command that `--under` names is put in front of the runs from disk, to limit their memory.
"""

import argparse
import json
import shlex
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

IMAGES, SHAPE = 245_000, (3, 64, 64)
QUICK = ["logger=none", "callbacks.figures=null", "callbacks.evaluate.images=1000", "callbacks.evaluate.decades=0.1"]
MODEL = ["likelihood=gaussian", "network.hidden_sizes=[200]", "callbacks.checkpoint.every_seconds=5"]


def write(path: Path) -> None:
    """Write random images: noise of 8×8 blocks, so that they differ in more than single pixels."""
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (IMAGES, *SHAPE))
    draw = np.random.default_rng(0)
    for start in range(0, IMAGES, 5000):
        blocks = draw.integers(0, 256, (min(5000, IMAGES - start), 3, 8, 8), dtype=np.uint8)
        images[start : start + len(blocks)] = blocks.repeat(8, 2).repeat(8, 3)
    images.flush()


def command(file: Path, placement: str, directory: Path, samples: int, under: list[str]) -> list[str]:
    """Return the command of a run from memory or from disk."""
    words = [f"dataset.placement={placement}", f"hydra.run.dir={directory}", f"samples={samples}", *MODEL, *QUICK]
    prefix = under if placement == "disk" else []
    return [*prefix, sys.executable, "-m", "vae_exp", "dataset=arrays", f"dataset.source.path={file}", *words]


def results(directory: Path) -> dict[str, float]:
    """Read the results of a run."""
    values: dict[str, float] = json.loads((directory / "results.json").read_text())
    return values


def main() -> None:
    """Write the file, time both places in turns, kill a run from disk and resume it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--under", type=shlex.split, default=[])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--samples", type=int, default=20_000)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    file = arguments.folder / "images.npy"
    if not file.exists():
        write(file)
    print(f"{file.stat().st_size / 1e9:.2f} GB")

    speeds: dict[str, list[float]] = {"device": [], "disk": []}
    for turn in range(arguments.turns):
        for placement, measured in speeds.items():
            directory = arguments.folder / f"{placement}{turn}"
            subprocess.run(command(file, placement, directory, arguments.samples, arguments.under), check=True)
            measured.append(results(directory)["steps_per_second"])
    for placement, measured in speeds.items():
        print(f"{placement}: best {max(measured):.1f}, median {statistics.median(measured):.1f} steps/s")
    ratios = [disk / device for device, disk in zip(speeds["device"], speeds["disk"], strict=True)]
    print(f"disk/device: best {max(ratios):.2f}, median {statistics.median(ratios):.2f}")

    killed = arguments.folder / "killed"
    process = subprocess.Popen(command(file, "disk", killed, arguments.samples, arguments.under))
    last = killed / "checkpoints" / "last.ckpt"
    while not last.exists():
        time.sleep(0.1)
    before = last.stat().st_mtime_ns
    while last.stat().st_mtime_ns == before and process.poll() is None:  # the next checkpoint is in the middle
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*arguments.under, sys.executable, "-m", "vae_exp", f"resume={killed}"], check=True)
    same = [results(arguments.folder / name)["test/bound"] for name in ("device0", "disk0", "killed")]
    print("test/bound from memory, from disk, killed and resumed:", *same)


if __name__ == "__main__":
    main()
