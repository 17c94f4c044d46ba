"""What is installed is the whole thing."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_the_readme_points_to_is_there():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        text = page.read_text()
        assert "RESULT_" not in text
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("http") or (page.parent / link).exists(), link


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


def test_a_wheel_installed_elsewhere_runs(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "vae_exp/conf/config.yaml" in names
    assert {f"vae_exp/results/report/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert {"hydra_plugins/vae_exp_grid.py", "hydra_plugins/vae_exp_ray.py"} <= set(names)
    assert "vae_exp/dataset/mnist_files/train-images-idx3-ubyte.xz" in names
    assert "vae_exp/dataset/mnist_files/LICENSE.md" in names
    assert not [name for name in names if name.endswith(".mat")]
    site, home = tmp_path / "site", tmp_path / "home"
    home.mkdir()
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", "--target", site, wheel], check=True)

    environment = os.environ | {"PYTHONPATH": str(site), "VAE_EXP_CACHE": str(tmp_path / "cache")}
    words = ["vae_exp", "samples=200", "dataset.train_size=100", "logger=none", "callbacks.evaluate.decades=0.1"]
    subprocess.run([sys.executable, "-P", "-m", *words], cwd=home, env=environment, check=True, timeout=120)
    (results,) = home.glob("outputs/mnist_vae/*/results.json")
    assert '"git_revision": null' in results.read_text()
    assert (results.parent / "figures" / "samples.png").exists()
    assert (results.parent / "report.html").exists()
    where = "import vae_exp; print(vae_exp.__file__)"
    out = subprocess.run([sys.executable, "-P", "-c", where], cwd=home, env=environment, capture_output=True, text=True)
    assert out.stdout.startswith(str(site))
