"""What somebody else could have sent: parts that bite, the files they are put into, and every way to read a run."""

import sys
from pathlib import Path

import yaml

import vae_exp
from vae_exp.cli import evaluate, main, report, sample

QUICK = ["samples=200", "network.hidden_sizes=[4]", "architecture.latent_dim=2", "logger=none", "trainer.compile=false"]
QUICK += ["callbacks.figures=null", "callbacks.evaluate.decades=0.1", "dataset.train_size=200"]


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def put(file, key, value):
    """Write a value into a YAML file, by its key."""
    values = yaml.safe_load(file.read_text())
    *folders, last = key.split(".")
    node = values
    for folder in folders:
        node[folder] = node.get(folder) if isinstance(node.get(folder), dict) else {}
        node = node[folder]
    node[last] = value
    file.write_text(yaml.safe_dump(values))


def config_of(directory):
    return directory / ".hydra" / "config.yaml"


def words_of(directory):
    return directory / ".hydra" / "overrides.yaml"


def main_of(module):
    def call(monkeypatch, *arguments):
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        module.main()

    return call


program = main_of(main)
READERS = {
    "load_run": lambda patch, path: vae_exp.load_run(path),
    "sample": lambda patch, path: main_of(sample)(patch, f"run={path}"),
    "evaluate": lambda patch, path: main_of(evaluate)(patch, f"run={path}"),
    "report": lambda patch, path: main_of(report)(patch, path),
    "start_from": lambda patch, path: program(patch, f"start_from={path}", *QUICK),
    "resume": lambda patch, path: program(patch, f"resume={path}", "samples=300"),
}
"""Every way to read a run directory."""

SWEEP = {
    "resume": lambda patch, path: program(patch, f"sweep.resume={path}"),
    "the command again": lambda patch, path: program(patch, "-m", "seed=0", f"hydra.sweep.dir={path}"),
    "report": lambda patch, path: main_of(report)(patch, path),
}

BITES = {
    "touch": {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": ["canary"]}]},
    "mkdir": {"_target_": "os.mkdir", "path": "canary"},
    "torch.load": {"_target_": "torch.load", "f": "saved", "weights_only": False},
    "our torch": {"_target_": "vae_exp.network.mlp.torch.load", "f": "saved", "weights_only": False},
    "torch.hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "source": "local", "model": "net"},
    "numpy": {"_target_": "numpy.load", "file": "pickled", "allow_pickle": True},
    "an import": {"_target_": "sent_along.Net"},
    "deep": {"_target_": "vae_exp.network.MLP", "hidden_sizes": {"_target_": "sent_along.Net"}},
    "arguments": {"_target_": "vae_exp.network.MLP", "_args_": [{"_target_": "os.mkdir", "path": "canary"}]},
    "partial": {"_target_": "vae_exp.network.MLP", "_partial_": True, "tied": {"_target_": "sent_along.Net"}},
}
