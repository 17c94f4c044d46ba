"""Read the file of an offline W&B run: a LevelDB log, in which each record is a protocol buffer."""

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from wandb.proto import wandb_internal_pb2

HEADER, BLOCK = 7, 32 * 1024


@dataclass
class WandbRun:
    run_id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    tags: list[str] = field(default_factory=list)


def read_wandb(directory: Path) -> list[WandbRun]:
    """Read every offline run in the wandb/ of a run directory, the oldest first. Wait until all have an exit record.

    W&B's own process writes the files, and may continue for a moment after `finish` has returned.
    """
    deadline = time.monotonic() + 20
    while True:
        try:
            runs = [_decode(path) for path in sorted(directory.glob("wandb/offline-run-*/*.wandb"))]
            if all(run.exit_code is not None for run in runs):
                return runs
        except DecodeError:
            runs = []
        assert time.monotonic() < deadline, f"no exit record: {runs}"
        time.sleep(0.1)


def _decode(path: Path) -> WandbRun:
    run = WandbRun()
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.run_id, run.group, run.project = record.run.run_id, record.run.run_group, record.run.project
            run.name, run.job_type = record.run.display_name, record.run.job_type
            run.tags = list(record.run.tags)
            run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            items = record.history.item
            run.history.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        elif kind == "metric":
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a log: 7 bytes of file header, then blocks of (checksum, length, type, payload)."""
    position, parts = HEADER, b""
    while position + HEADER <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        parts += data[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""
