"""What a command says, and what it leaves on the disk."""


def one_line(text, *words):
    """The first line says it all."""
    message = next(line for line in text.splitlines() if line and "Error executing job" not in line)
    assert "Traceback" not in text
    assert all(word in message for word in words), text


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".log")
    return {path: path.read_bytes() for path in files}


def refused(outcome, *words):
    """One message, no traceback, a status ≠ 0, and no result that could be taken for one."""
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
    if (outcome.directory / "results.json").exists():
        assert outcome.results["status"] in ("failed", "diverged")
    return outcome


def refused_at_the_start(outcome, *words):
    """The same, before anything was trained."""
    refused(outcome, *words)
    assert not (outcome.directory / "checkpoints" / "last.ckpt").exists()
    if (outcome.directory / "results.json").exists():
        assert outcome.results["status"] == "failed"
