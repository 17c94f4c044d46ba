"""What is installed is the whole thing."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_oldest_releases_are_those_that_the_package_admits():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = project["dependencies"] + [
        word for extra in ("joblib", "optuna", "ray", "slurm", "tensorboard", "workspace") for word in extras[extra]
    ]
    admitted = dict(re.match(r"([\w-]+)>=([\w.]+)", word).groups() for word in needed)
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE))
    assert admitted.keys() <= pins.keys()
    for name, version in admitted.items():
        assert f"{pins[name]}.".startswith(f"{version}."), name
