"""A folder of the user's own images through the command line, from the files to a loaded run."""

import runpy
import shutil
from pathlib import Path

import pytest
import torch

from vae_exp import load_run
from vae_exp.errors import RunError
from vae_exp.results.summary import read_results

SHAPES = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "shapes.py"))
KINDS = SHAPES["KINDS"]
QUICK = [
    "samples=40",
    "dataset.batch_size=20",
    "logger=none",
    "network.hidden_sizes=[8]",
    "callbacks.figures.manifold_side=4",
]
TWO = "architecture.latent_dim=2"


@pytest.fixture
def shapes(tmp_path):
    """A folder of sixty colour images in three class folders, and the overrides that choose it."""
    SHAPES["draw"](tmp_path / "shapes", 60, side=16)
    return ["dataset=folder", "dataset.source.path=shapes", f"paths.cache={tmp_path / 'cache'}"]


@pytest.mark.parametrize(
    ("parts", "figures"),
    [
        (["likelihood=gaussian", TWO], {"reconstructions", "samples", "latent_scatter", "manifold"}),
        (["architecture=cvae", TWO], {"reconstructions", "samples", "analogies", "latent_scatter", "manifold"}),
        (
            ["architecture=m2", "dataset.labels=9", "architecture.latent_dim=3"],
            {"reconstructions", "samples", "analogies"},
        ),
    ],
    ids=["vae", "cvae", "m2"],
)
def test_a_folder_becomes_a_run_that_can_be_loaded_without_it(run, shapes, parts, figures, tmp_path, monkeypatch):
    outcome = run(*shapes, *parts, *QUICK)
    assert outcome.status == 0, outcome.err
    assert "shapes: 6 test, 54 train images, 3 classes (circle, square, triangle)" in outcome.out + outcome.err
    assert (outcome.results["shape"], outcome.results["classes"]) == ([3, 16, 16], list(KINDS))
    assert {path.stem for path in (outcome.directory / "figures").iterdir()} == figures
    shutil.rmtree(tmp_path / "shapes")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = load_run(outcome.directory)
    assert loaded.metrics["classes"] == list(KINDS)
    assert loaded.model.shape == (3, 16, 16)
    assert loaded.model.sample(2, torch.tensor([0, 2]) if loaded.model.classes else None).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("damage", ["[3, 16]", "[3, 16, 0]", '"x"', "null"])
def test_a_damaged_description_of_the_images_is_refused(tmp_path, damage):
    path = tmp_path / "results.json"
    path.write_text(f'{{"status": "completed", "samples": 1, "shape": {damage}, "classes": []}}')
    with pytest.raises(RunError, match=r"results\.json: cannot be read: its shape or classes are damaged"):
        read_results(path)


def test_a_run_goes_on_with_a_folder_and_a_cache_that_were_moved(run, shapes, tmp_path):
    first = run(*shapes, *QUICK)
    assert first.status == 0, first.err
    (tmp_path / "shapes").rename(tmp_path / "moved")
    words = [f"resume={first.directory}", "samples=80", "paths.cache=other"]
    missing = run(*words)
    assert missing.status == 1
    assert "dataset.source.path=shapes: there is no such folder" in missing.err
    outcome = run(*words, "dataset.source.path=moved")
    assert outcome.status == 0, outcome.err
    again = run("dataset=folder", "dataset.source.path=moved", "paths.cache=other", *QUICK, "samples=80")
    first_results = (first.directory / "results.json").read_text()
    assert f'"test/bound": {again.results["test/bound"]}' in first_results


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ["dataset.source.path: a value is needed"]),
        (["dataset.source.path="], ["dataset.source.path=: is not allowed"]),
        (["dataset.source.pth=x"], ["dataset.source.pth: no such key", "dataset.source.path"]),
        (["dataset.source.path=nowhere"], ["dataset.source.path=nowhere: there is no such folder"]),
        (["dataset.source.path=shapes", "dataset.source.size=64"], ["dataset.source.size=64: is not allowed"]),
        (["dataset.source.path=shapes", "dataset.source.size=[64]"], ["dataset.source.size=[64]: is not allowed"]),
        (["dataset.source.path=shapes", "dataset.source.size=[0,8]"], ["dataset.source.size=[0, 8]: is not allowed"]),
        (["dataset.source.path=shapes", "dataset.source.channels=4"], ["dataset.source.channels=4: is not allowed"]),
        (["dataset.source.path=shapes", "dataset.source.test_fraction=1"], ["dataset.source.test_fraction=1"]),
        (["dataset.source.path=shapes", "dataset.labels=10"], ["dataset.labels=10", "multiple of the 3 classes"]),
        (["dataset.source.path=shapes", "dataset.labels=57"], ["dataset.labels=57: needs 19", "has only 18"]),
        (["dataset.source.path=shapes/circle", "architecture=m2"], ["architecture=m2", "label"]),
        (["dataset.source.path=shapes", "dataset.source.size=[99999,99999]"], ["needs about", "of memory"]),
    ],
    ids=str,
)
def test_values_that_cannot_be_are_named(run, shapes, overrides, words):
    outcome = run("dataset=folder", shapes[-1], *overrides, *QUICK)
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


def test_figures_show_the_names_of_the_classes(run, shapes, monkeypatch):
    drawn = {}
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: drawn.update({id(figure): figure}))
    outcome = run(*shapes, "architecture=cvae", TWO, *QUICK)
    assert outcome.status == 0, outcome.err
    shown = [
        {text.get_text() for text in figure.findobj(match=lambda part: hasattr(part, "get_text"))}
        for figure in drawn.values()
    ]
    assert sum(set(KINDS) <= names for names in shown) == 4  # samples, analogies, latent scatter, manifold
