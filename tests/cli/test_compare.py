"""`python -m vae_exp compare` on a sweep and a run."""

import json
import re

import pytest
from variants import variant

from vae_exp.cli import compare


@pytest.mark.usefixtures("few_digits")
@pytest.mark.usefixtures("reports")
def test_a_sweep_and_a_run_beside_each_other(swept, trained, command, tmp_path):
    variant(trained, tmp_path / "lr=0.1", {"optimizer.lr": 0.1, "seed": 5})
    status, printed = command(compare, swept, "lr=0*", "metrics=[test/bound,train/kl]", "output=out")
    assert status == 0, printed.err
    assert "| 0.02 | completed | 3 | 200 |" in printed.out
    assert "| 0.1 | completed | 1 | 200 |" in printed.out
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert [chart["title"] for chart in data["charts"]] == ["bound", "nll", "kl", "active units"]
    assert {(one["label"], one["split"]) for one in data["charts"][0]["series"]} == {
        (label, split) for label in ("lr=0.02", "lr=0.1") for split in ("train", "test")
    }
    runs = data["tables"][0]["rows"]
    assert [row[0]["href"] for row in runs[:1]] == ["./../sweep/0/report.html"]
    assert (tmp_path / "out" / runs[0][0]["href"]).exists()
    differences = data["summary"][2]
    assert differences["title"] == "Differences"
    assert [row[4] for row in differences["rows"]] == ["1 and 3"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "compare <run, sweep, folder or glob>"),
        (["swep"], "swep: no such run or sweep. Did you mean sweep?"),
        (["sweep", "ouput=x"], "ouput: no such key. Did you mean output?"),
        (["sweep", "output=file"], "output=file: is a file; a folder is needed"),
    ],
    ids=str,
)
def test_mistakes_are_one_message(command, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "file").touch()
    status, printed = command(compare, *words)
    assert status == 1
    assert message in printed.out + printed.err
