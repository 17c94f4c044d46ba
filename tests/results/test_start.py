"""What is noted when a run starts."""

import pytest

from vae_exp.results import start


@pytest.mark.usefixtures("few_digits")
def test_the_commit_of_a_run_is_that_of_its_start(run, monkeypatch):
    """A run imports its code when it starts. What is checked out while it trains is another version."""
    commits = iter(["of the start", "of the end"])
    monkeypatch.setattr(start, "git_revision", lambda: next(commits))
    outcome = run("samples=200", "network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null")
    assert outcome.results["git_revision"] == "of the start"
