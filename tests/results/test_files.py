import errno
import os
from pathlib import Path

import pytest

from vae_exp.results.files import write_atomically
from vae_exp.training.checkpoint_io import AtomicCheckpointIO

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]


class TestWrites:
    def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(self, tmp_path, monkeypatch):
        path = tmp_path / "results.json"
        write_atomically(path, "old")

        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        for write in (
            lambda: write_atomically(path, "new"),
            lambda: AtomicCheckpointIO().save_checkpoint({"a": 1}, path),
        ):
            with pytest.raises(OSError, match="No space left"):
                write()
            assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
            assert path.read_text() == "old"

    def test_a_file_system_that_cannot_flush_is_written_to(self, tmp_path, monkeypatch):
        def unsupported(descriptor):
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "fsync", unsupported)
        write_atomically(tmp_path / "text", "text")
        assert (tmp_path / "text").read_text() == "text"

    def test_what_a_run_writes_is_on_the_disk_before_it_has_its_name(self, run, tmp_path, monkeypatch):
        flushed = []

        def recorded(descriptor):
            flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

        monkeypatch.setattr(os, "fsync", recorded)
        assert (
            run("-m", "samples=100", *QUICK[:2], "architecture.latent_dim=2", "hydra.sweep.dir=s", "seed=0").status == 0
        )
        assert not list(tmp_path.rglob("*.part"))
        names = {path.removesuffix(".part").removeprefix(f"{tmp_path}/s/") for path in flushed}
        written = {str(path.relative_to(tmp_path / "s")) for path in (tmp_path / "s").rglob("*") if path.is_file()}
        assert {name for name in written if not name.endswith((".lock", ".log"))} <= names
        assert f"{tmp_path}/s/0/checkpoints" in flushed
