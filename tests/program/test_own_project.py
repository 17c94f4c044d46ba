"""Parts of the user's own, as a user has them: the folder that one can copy, and the examples of the documentation."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from program import command_line

import vae_exp
from vae_exp.cli import sample
from vae_exp.errors import RunError
from vae_exp.results.metrics import read_metrics

ROOT = Path(__file__).parents[2]
QUICK = ["logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3", "trainer.compile=false"]
SHAPES = ["--config-dir", "conf", "+experiment=shapes_vae", "dataset.source.images=150", "dataset.source.size=8"]


@pytest.fixture
def forget():
    """Let no later test find the modules that this one imports."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("own_project", "my_parts"):
            del sys.modules[name]


@pytest.fixture
def project(tmp_path, run, monkeypatch, forget):
    """A copy of the folder, in which the user is."""
    folder = shutil.copytree(ROOT / "examples" / "own_project", tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def test_the_folder_is_copied_trained_resumed_and_loaded(project, run, monkeypatch, capfd):
    typo = run(*SHAPES, "network.widht=8")
    assert typo.status == 1
    assert "network.widht: no such key. Did you mean network.width?" in typo.err
    begun = run(*SHAPES, *QUICK, "samples=300", "network.width=8")
    assert begun.status == 0, begun.err
    assert read_metrics(begun.directory / "metrics.csv")[-1]["test/scale"] == pytest.approx(0.1, abs=0.02)
    resumed = run("--config-dir", "conf", f"resume={begun.directory}", "samples=400")
    assert resumed.status == 0, resumed.err
    assert begun.results["samples"] == 400
    again = run(f"resume={begun.directory}", "samples=500", "trust=own_project")
    assert "--config-dir: it was started with" in again.err
    monkeypatch.setattr(sys, "argv", ["sample", f"run={begun.directory}", "n=4", "trust=own_project"])
    sample.main()
    assert "samples_4.png" in capfd.readouterr().out
    with pytest.raises(RunError, match=r"own_project\.source\.Shapes .* trust=own_project"):
        vae_exp.load_run(begun.directory)
    monkeypatch.syspath_prepend(str(project))
    loaded = vae_exp.load_run(begun.directory, trust="own_project")
    assert loaded.model.sample(2).shape == (2, 1, 8, 8)


def test_its_parts_are_swept_and_combined_with_ours(project, run):
    words = ["network=layer_norm,mlp", "likelihood=learned_laplace", "samples=100", "hydra.sweep.dir=sweep"]
    swept = run("-m", *SHAPES, *QUICK, *words)
    assert swept.status == 0, swept.err
    combined = run(*SHAPES, *QUICK, "architecture=m2", "likelihood=bernoulli", "network.width=4", "samples=100")
    assert combined.status == 0, combined.err


def test_its_own_test_passes(project):
    process = command_line("pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, out + errors
    assert "3 passed" in out


@pytest.fixture
def my_parts(tmp_path, run, forget):
    """The examples of the documentation, in a file in the current folder."""
    text = (ROOT / "docs" / "own_parts.md").read_text(encoding="utf-8")
    (tmp_path / "my_parts.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    commands = text.rpartition("### In runs\n")[2].replace("\\\n", " ").replace("'", "")
    return [line.split()[3:] for line in commands.splitlines() if "python -m vae_exp" in line]


def test_the_examples_of_the_documentation_train(my_parts, run):
    noise, *others = my_parts
    source = [word for word in noise if "dataset.source" in word]
    assert len(others) == 2
    for words in (noise, *([*source, *other] for other in others)):
        outcome = run(*words, *QUICK, "samples=200", "architecture.latent_dim=2" if words is noise else "seed=1")
        assert outcome.status == 0, outcome.err


def test_a_part_that_breaks_its_contract_ends_the_run_with_one_message(my_parts, run, tmp_path):
    with (tmp_path / "my_parts.py").open("a") as file:
        file.write("\n\nclass Wide(Laplace):\n    def forward(self, features):\n        return features[0]\n")
    outcome = run("likelihood._target_=my_parts.Wide", *QUICK)
    assert outcome.status == 1
    message = "likelihood: Wide(features (2, 1, 28, 28)) must be a Distribution, and is a Tensor (docs/own_parts.md)"
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert (outcome.results["status"], outcome.results["error"]) == ("failed", message)
    assert not (outcome.directory / "checkpoints" / "last.ckpt").exists()
