"""`python -m vae_exp list`."""

import pytest
from variants import variant

from vae_exp.cli import list as listing


@pytest.mark.usefixtures("few_digits")
def test_runs_are_listed_and_filtered(trained, command, tmp_path):
    variant(trained, tmp_path / "outputs" / "a" / "1", {"seed": 3})
    variant(trained, tmp_path / "outputs" / "a" / "2", {"seed": 4})
    status, printed = command(listing)
    assert status == 0
    assert [line.split()[0] for line in printed.out.splitlines()] == ["run", "outputs/a/1", "outputs/a/2"]
    _, printed = command(listing, "outputs/*", "seed=4")
    assert [line.split()[0] for line in printed.out.splitlines()] == ["run", "outputs/a/2"]
    _, printed = command(listing, "seed=5")
    assert printed.out == "no runs in outputs with seed=5\n"


def test_a_folder_that_does_not_exist_is_one_message(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    status, printed = command(listing, "output")
    assert (status, printed.err.splitlines()[0]) == (1, "output: no such folder. Did you mean outputs?")
