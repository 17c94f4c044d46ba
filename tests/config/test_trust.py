"""Parts of one's own: whoever trusts their package can load a run of them, resume it and begin from it."""

import shutil
import sys

import pytest
import yaml

import vae_exp
from vae_exp.cli import sample
from vae_exp.config.trust import Trust, trusted_packages
from vae_exp.errors import ConfigError, RunError
from vae_exp.results.run_directory import RunDirectory

QUICK = ["samples=200", "network.hidden_sizes=[4]", "architecture.latent_dim=2", "logger=none", "trainer.compile=false"]
QUICK += ["callbacks.figures=null", "callbacks.evaluate.decades=0.1", "dataset.train_size=200"]
OWN = """
import os
from vae_exp.network import MLP

class Net(MLP):
    pass

def net(hidden_sizes: list[int]):
    return MLP(hidden_sizes)
"""
pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's own, and a config directory that chooses a part of it."""
    (tmp_path / "my_package.py").write_text(OWN)
    (tmp_path / "mine" / "network").mkdir(parents=True)
    own = {"_target_": "my_package.net", "hidden_sizes": [4]}
    (tmp_path / "mine" / "network" / "own.yaml").write_text(yaml.safe_dump(own))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_package", None)


@pytest.mark.parametrize("words", [["network._target_=my_package.Net"], ["--config-dir=mine", "network=own"]], ids=str)
def test_a_run_of_ones_own_parts_is_loaded_and_resumed(run, package, words):
    begun = run(*words, *QUICK)
    assert begun.status == 0, begun.err
    flags = [word for word in words if word.startswith("--")]
    with pytest.raises(RunError, match=r"network\._target_=my_package\.\w+ in .* trust=my_package$"):
        vae_exp.load_run(begun.directory)
    assert vae_exp.load_run(begun.directory, trust=("my_package",)).model.latent_dim == 2
    if not flags:
        outcome = run(f"resume={begun.directory}", "samples=300")
        assert outcome.status == 1
        assert outcome.err.splitlines()[0].endswith("trust=my_package")
        assert begun.results["samples"] == 200
    # the command line says whom to trust, or names the part itself
    for samples, own in ((300, ["trust=[other,my_package]", *flags]), (400, words)):
        outcome = run(f"resume={begun.directory}", f"samples={samples}", *own)
        assert outcome.status == 0, outcome.err
        assert begun.results["samples"] == samples
        assert "trust" not in " ".join(begun.results["overrides"])


def test_a_run_of_ones_own_parts_is_begun_from(run, package):
    own = "network._target_=my_package.Net"
    begun = run(own, *QUICK)
    outcome = run(f"start_from={begun.directory}", *QUICK)
    assert outcome.status == 1
    assert "trust=my_package" in outcome.err
    assert run(f"start_from={begun.directory}", "trust=my_package", *QUICK).status == 0
    assert run(f"start_from={begun.directory}", own, *QUICK).status == 0


def test_a_sweep_of_ones_own_parts_goes_on(run, package, monkeypatch, capfd):
    words = ["network._target_=my_package.Net,vae_exp.network.MLP", "hydra.sweep.dir=sweep"]
    assert run("-m", *words, *QUICK).status == 0
    (package / "sweep" / "0" / "results.json").unlink()
    outcome = run("-m", "sweep.resume=sweep")
    assert outcome.status == 1
    assert outcome.err.splitlines()[0].endswith("trust=my_package")
    assert run("-m", "sweep.resume=sweep", "trust=my_package").status == 0
    assert (package / "sweep" / "0" / "results.json").exists()
    monkeypatch.setattr(sys, "argv", ["sample", "run=sweep/0", "n=4", "trust=my_package"])
    sample.main()
    assert "samples_4.png" in capfd.readouterr().out


def test_a_word_with_an_interpolation_is_recorded_resolved(run):
    words = ['name="it\'s ${seed}"', "weight_prior=${architecture.beta}"]
    begun = run(*QUICK, *words)
    assert begun.status == 0, begun.err
    recorded = RunDirectory(begun.directory).recorded_overrides()
    assert "weight_prior=1.0" in recorded
    outcome = run(f"resume={begun.directory}", "samples=300")
    assert outcome.status == 0, outcome.err
    assert begun.results["name"] == "it's 0"


def test_directions_say_whom_to_trust(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.overrides.parent.mkdir()
    directory.overrides.write_text(yaml.safe_dump(["network._target_=my_package.Net", "samples=3"]))
    assert directory.resume_command == f"python -m vae_exp resume={tmp_path} trust=my_package"
    directory.overrides.write_text(yaml.safe_dump(["network._target_=vae_exp.network.MLP"]))
    assert directory.resume_command == f"python -m vae_exp resume={tmp_path}"


def test_what_a_trusted_package_imports_is_not_its_own(run, package):
    begun = run(*QUICK)
    hostile = shutil.copytree(begun.directory, package / "sent")
    file = hostile / ".hydra" / "config.yaml"
    file.write_text(file.read_text().replace("vae_exp.network.MLP", "my_package.os.mkdir"))
    with pytest.raises(RunError, match=r"my_package\.os\.mkdir in .*, which is from posix: is refused"):
        vae_exp.load_run(hostile, trust="my_package")
    file.write_text(file.read_text().replace("my_package.os.mkdir", "vae_exp.results.load.load_run"))
    with pytest.raises(RunError, match="is refused"):
        vae_exp.load_run(hostile, trust="vae_exp")
    with pytest.raises(RunError, match="trust=my_packages"):
        Trust(("my_package",)).check({"network": {"_target_": "my_packages.Net"}}, "config.yaml")


@pytest.mark.parametrize(
    ("packages", "names"),
    [(None, ()), ("a", ("a",)), ("a,b.c", ("a", "b.c")), ("[a, b]", ("a", "b")), (("a", "b"), ("a", "b"))],
    ids=str,
)
def test_packages_are_named_in_a_list_or_with_commas(packages, names):
    assert trusted_packages(packages) == names


@pytest.mark.parametrize("packages", ["", "a b", "os;", "../x", "a..b", [3]], ids=str)
def test_the_name_of_a_package_is_one(packages):
    with pytest.raises(ConfigError, match="trust="):
        trusted_packages(packages)
