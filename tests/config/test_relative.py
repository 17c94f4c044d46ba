import json
import shutil
from pathlib import Path

import pytest

QUICK = ["samples=200", "logger=none", "callbacks.figures=null", "callbacks.evaluate.images=50"]
QUICK += ["network.hidden_sizes=[8]", "architecture.latent_dim=2", "trainer.compile=false"]


@pytest.mark.usefixtures("few_digits")
def test_relative_paths_count_from_where_they_were_typed(run, tmp_path, small_data):
    shutil.copytree(small_data / "KMNIST", tmp_path / "mine" / "KMNIST")
    words = ["dataset=kmnist", "dataset.source.root=mine", "hydra.job.chdir=true"]
    first = run(*QUICK, *words, directory=Path("first"))
    assert first.status == 0, first.err
    second = run(*QUICK, *words, "start_from=first", directory=Path("second"))
    assert second.status == 0, second.err
    assert "Beginning with " in second.out
    assert run("resume=first", "samples=300", "hydra.job.chdir=true").status == 0
    assert json.loads(Path("first/results.json").read_text())["samples"] == 300
    assert not list(Path("first").rglob("mine"))
