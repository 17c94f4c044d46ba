"""The gallery: one picture per experiment, with its command and its result."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from vae_exp.results.jobs import read_job
from vae_exp.results.metrics import with_error

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gallery(monkeypatch):
    spec = spec_from_file_location("gallery", ROOT / "scripts" / "gallery.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gallery", module)
    spec.loader.exec_module(module)
    return module


def test_every_experiment_has_a_tile_and_a_row(gallery):
    texts = {path.stem: path.read_text() for path in (ROOT / "conf" / "experiment").glob("*.yaml")}
    sweeps = {name for name, text in texts.items() if "sweeper:" in text}
    assert gallery.RUNS.keys() | gallery.SWEEPS.keys() == texts.keys()
    assert gallery.JOBS.keys() | gallery.SWEEPS.keys() == sweeps
    assert not gallery.RUNS.keys() & gallery.SWEEPS.keys()
    page = (ROOT / "docs" / "gallery.md").read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == [*gallery.RUNS, *gallery.SWEEPS]


def test_the_pictures_of_sweeps_hold_their_parts(gallery):
    for name in gallery.SWEEPS:
        height, width, channels = gallery.tile_of_sweep(name).image.shape
        assert channels == 3
        assert width / height == pytest.approx(gallery.SHAPE, rel=0.2)


@pytest.mark.parametrize(
    ("size", "gap", "expected"),
    [
        ((4, 4), 2, (4 * 6 + 2, 6 * 6 + 2)),
        ((4, 2), 2, (4 * 6 + 2, 9 * 4 + 2)),  # narrow images: more of them, so that the tile has its shape
        ((4, 4), 0, (6 * 4, 9 * 4)),
    ],
)
def test_a_part_has_whole_images_and_the_shape_of_a_tile(gallery, size, gap, expected):
    cells = np.arange(13 * 13).reshape(13, 13)
    grid = np.kron(cells, np.ones([length + gap for length in size]))
    grid = np.pad(grid, ((gap, 0), (gap, 0)))  # a gap, then an image and the gap behind it, and so on
    found = gallery.part(grid, size, gap)
    assert found.shape == expected
    rows, columns = (length // (side + gap) for length, side in zip(found.shape, size, strict=True))
    shown = found[gap :: size[0] + gap, gap :: size[1] + gap]  # the first pixel of every image
    assert shown.shape == (rows, columns)
    if gap:
        assert (shown == cells[:rows, :columns]).all()
    else:  # from end to end
        assert shown[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == cells[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()
        assert len(np.unique(shown)) == rows * columns


def test_a_single_row_of_images_fills_several(gallery):
    grid = np.pad(np.kron(np.arange(10.0)[None], np.ones((6, 6))), ((2, 0), (2, 0)), constant_values=1.0)
    found = gallery.part(grid, (4, 4), 2)
    assert found.shape == (2 * 6 + 2, 3 * 6 + 2)
    assert found[3::6, 3::6].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_result_has_its_standard_error_and_a_classifier_its_error_in_percent(gallery):
    bound = {"test/bound": -104.04, "test/bound_standard_error": 0.42}
    error = {"test/error": 0.0133, "test/error_standard_error": 0.0011}
    assert gallery.result(bound) == "bound −104.0 ± 0.4"
    assert gallery.result(bound | error) == "bound −104.0 ± 0.4, error 1.33 ± 0.11%"
    assert gallery.result(error) == "error 1.33 ± 0.11%"


def test_it_writes_the_picture_and_the_table_between_its_marks(gallery, trained, tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    (docs / "gallery.md").write_text(f"# Gallery\n\nBefore.\n\n{gallery.BEGIN}\nold\n{gallery.END}\n\nAfter.\n")
    monkeypatch.setattr(gallery, "DOCS", docs)
    monkeypatch.setattr(gallery, "RUNS", {"trained": "reconstructions"})
    monkeypatch.setattr(gallery, "SWEEPS", {})
    gallery.main(str(trained.parent))
    assert (docs / "images" / "gallery.png").read_bytes().startswith(b"\x89PNG")
    page = (docs / "gallery.md").read_text()
    assert page.startswith("# Gallery\n\nBefore.\n")
    assert page.endswith("\n\nAfter.\n")
    assert "old" not in page
    results = read_job(trained).results
    assert with_error(results, "test/bound").replace("-", "−") in page
    assert f"| 200 | {results['git_revision'][:7]} |" in page
    assert "callbacks.evaluate.decades=0.3" in page
    assert "logger=none" not in page
