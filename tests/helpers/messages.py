"""What a command says, and what it leaves on the disk."""


def one_line(text, *words):
    """The first line says it all."""
    message = next(line for line in text.splitlines() if line and "Error executing job" not in line)
    assert "Traceback" not in text
    assert all(word in message for word in words), text


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".log")
    return {path: path.read_bytes() for path in files}
