"""The floors of the house: `lint-imports` proves the arrows, these tests what it cannot see."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = [
    "vae_exp",
    "vae_exp.cli.completion",
    "vae_exp.cli.encode",
    "vae_exp.cli.export",
    "vae_exp.cli.main",
    "vae_exp.cli.compare",
    "vae_exp.cli.evaluate",
    "vae_exp.cli.list",
    "vae_exp.cli.report",
    "vae_exp.cli.resume",
    "vae_exp.cli.sample",
    "vae_exp.cli.sweep",
    "vae_exp.cli.train",
    "vae_exp.cli.usage",
    "vae_exp.config.overrides",
    "vae_exp.config.replay",
    "vae_exp.config.schema",
    "vae_exp.config.stored",
    "vae_exp.config.trust",
    "vae_exp.results.jobs",
    "vae_exp.results.run_directory",
    "vae_exp.results.search",
    "vae_exp.results.sweep",
    "vae_exp.results.sweep_directory",
    "vae_exp.results.tables",
    "hydra_plugins.vae_exp_ensemble",
    "hydra_plugins.vae_exp_grid",
    "hydra_plugins.vae_exp_optuna",
    "hydra_plugins.vae_exp_processes",
    "hydra_plugins.vae_exp_ray",
]
"""Torch takes seconds to import, and `--help` and mistakes are answered at once."""


def test_what_answers_at_once_does_not_import_torch():
    code = "import sys\n" + "".join(
        f"import {name}\nassert 'torch' not in sys.modules, {name!r}\n" for name in WITHOUT_TORCH
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("folder", sorted(path.parent for path in (ROOT / "vae_exp").glob("*/__init__.py")), ids=str)
def test_every_folder_says_what_lives_there(folder):
    first = (folder / "__init__.py").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith('"""')
    assert first.endswith('."""')
