import io
import logging
import os
import sys

import pytest

from vae_exp.cli.output import Output, lasting_output


def closed_terminal():
    main, other = os.openpty()
    os.close(main)
    return os.fdopen(other, "w")


def pipe_without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


LOST = {
    "a closed terminal": (closed_terminal, "Input/output error", logging.WARNING),
    "a full disk": (lambda: open("/dev/full", "w"), "No space left on device", logging.WARNING),  # noqa: PTH123, SIM115
    "head": (pipe_without_reader, "Broken pipe", logging.INFO),
}


@pytest.mark.parametrize(("stream", "reason", "level"), LOST.values(), ids=LOST)
def test_output_that_is_lost_is_dropped_and_logged_once(stream, reason, level, caplog):
    caplog.set_level(logging.INFO)
    output = Output(stream(), "standard output")
    for _ in range(3):
        assert output.write("text\n") == 5
        output.writelines(["more\n"])
        output.flush()
    output.close()  # as the interpreter does at its end
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage() == f"standard output is lost ({reason}); the program goes on without it"


def test_what_an_encoding_lacks_is_escaped_inside(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with lasting_output():
        print("−nll ± 1", end="")
    assert raw.getvalue() == rb"\u2212nll \xb1 1"
    assert sys.stdout is stream
    assert stream.errors == "strict"


def test_closed_streams_are_open_inside(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with lasting_output():
        print("nowhere", flush=True)
    assert sys.stdout is None
