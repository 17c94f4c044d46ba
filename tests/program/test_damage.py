"""Damaged files: each is refused, or counts as missing, in one line that names it; nothing else is touched."""

import errno
import json
import os
import random
import shutil
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
import torch

import vae_exp
from vae_exp.cli import evaluate, report, sample
from vae_exp.config.stored import Damaged, parse
from vae_exp.errors import RunError
from vae_exp.results.checkpoint import read_checkpoint
from vae_exp.results.checksum import DIGEST_BYTES, MARK
from vae_exp.results.files import write_atomically
from vae_exp.results.metrics import read_metrics
from vae_exp.training.checkpoint_io import AtomicCheckpointIO
from vae_exp.training.loggers.wandb import _keep_id, _run_id

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]
LAST = "checkpoints/last.ckpt"


@pytest.fixture
def trained(run, tmp_path, tmp_path_factory):
    """A copy of a run of 200 samples, which is made once."""
    made = tmp_path_factory.getbasetemp() / "trained"
    if not made.exists():
        assert run("samples=200", *QUICK, directory=made).status == 0
    return shutil.copytree(made, tmp_path / "trained")


@pytest.fixture
def swept(run, tmp_path, tmp_path_factory):
    """A copy of a sweep of three jobs, which is made once; the current folder holds it."""
    made = tmp_path_factory.getbasetemp() / "swept"
    if not made.exists():
        assert run("-m", "seed=0,1,2", "samples=200", *QUICK, f"hydra.sweep.dir={made}").status == 0
    return shutil.copytree(made, tmp_path / "sweep")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("'1e3'", "1e3"),
        ("yes", True),
        (".inf", float("inf")),
        ("null", None),
        ("2020-01-01", "2020-01-01"),
        ("['a=${b}', {1: 2}]", ["a=${b}", {1: 2}]),
    ],
)
def test_stored_values_are_read_as_omegaconf_reads_them(text, value):
    assert parse(f"key: {text}\n", Path()) == {"key": value}


def test_what_is_read_twice_is_not_shared():
    first, second = (parse("keys: [1]\n", Path()) for _ in range(2))
    first["keys"].append(2)
    assert second == {"keys": [1]}


@pytest.mark.parametrize(
    "text", ["key: 1\nkey: 2", "a: &a 1\nb: *a", "key: !!binary aGk=", "[" * 5000, "key: ${a", "5"]
)
def test_other_texts_are_damaged(text):
    with pytest.raises(Damaged, match=r"config\.yaml: cannot be read: "):
        parse(text, Path("config.yaml"))


@pytest.fixture
def command(monkeypatch, capfd):
    """Another program of the package in this process: its status and its output."""

    def call(module, *arguments):
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            module.main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, capfd.readouterr()

    return call


def one_line(text, *words):
    """The first line says it all."""
    message = next(line for line in text.splitlines() if line and "Error executing job" not in line)
    assert "Traceback" not in text
    assert all(word in message for word in words), text


def contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".log")
    return {path: path.read_bytes() for path in files}


class TestCheckpoints:
    def test_fifty_flipped_bytes_are_fifty_refusals(self, trained):
        path = trained / LAST
        whole = path.read_bytes()
        ends = [0, 3, len(whole) - 1, len(whole) - DIGEST_BYTES - 1, len(whole) - DIGEST_BYTES - len(MARK) - 1]
        places = ends + random.Random(0).sample(range(len(whole)), 50 - len(ends))
        refused = 0
        for place in places:
            damaged = bytearray(whole)
            damaged[place] ^= 1 << random.Random(place).randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(RunError, match=r"last\.ckpt: is damaged or not a checkpoint \(.*\)$"):
                read_checkpoint(path)
            refused += 1
        assert refused == 50
        path.write_bytes(whole)
        assert read_checkpoint(path)["vae_exp"]["samples_seen"] == 200

    @pytest.mark.parametrize(
        "change",
        [
            lambda whole: b"",
            lambda whole: whole + b"\0",
            lambda whole: whole[:-1],
            lambda whole: whole[:-DIGEST_BYTES],
            lambda whole: whole[: -DIGEST_BYTES - len(MARK)],
            lambda whole: whole[: len(whole) // 2],
            lambda whole: whole.replace(b"architecture", b"architectura", 1),
        ],
        ids=["empty", "longer", "shorter", "no digest", "no checksum", "half", "another word"],
    )
    @pytest.mark.parametrize("name", ["last", "best"])
    def test_nor_more_or_fewer(self, trained, name, change):
        path = trained / "checkpoints" / f"{name}.ckpt"
        path.write_bytes(change(path.read_bytes()))
        with pytest.raises(RunError, match=f"{name}.ckpt: is damaged"):
            vae_exp.load_run(trained, name)

    def test_every_program_refuses_them(self, run, trained, command):
        path = trained / LAST
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 4
        path.write_bytes(damaged)
        before = contents(trained)
        for words in ([f"resume={trained}", "samples=400"], [f"start_from={trained}", "samples=100", *QUICK]):
            outcome = run(*words)
            assert outcome.status == 1
            one_line(outcome.err, LAST, "is damaged")
        for module in (sample, evaluate):
            status, output = command(module, f"run={trained}")
            assert status == 1
            one_line(output.err, LAST, "is damaged")
        with pytest.raises(RunError, match="is damaged"):
            AtomicCheckpointIO().load_checkpoint(path)
        assert contents(trained) == before

    def test_a_compressed_one_is_refused_before_it_fills_the_memory(self, trained):
        path, packed = trained / LAST, trained.with_name("packed")
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
            for entry in whole.infolist():
                other.writestr(entry.filename, whole.read(entry.filename))
        packed.replace(path)
        with pytest.raises(RunError, match=r"is damaged or not a checkpoint \(it is compressed\)"):
            read_checkpoint(path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("samples_seen", "x"), ("steps", None), ("seconds", "x"), ("metrics", None), ("config", 3), ("generator", 3)],
    )
    def test_one_without_what_a_run_goes_on_with_is_refused(self, run, trained, name, value):
        checkpoint = torch.load(trained / LAST, weights_only=True)
        checkpoint["vae_exp"][name] = value
        torch.save(checkpoint, trained / LAST)
        outcome = run(f"resume={trained}", "samples=400")
        assert outcome.status == 1
        one_line(outcome.err, f"{LAST}: is damaged", f"its {name} is missing or of another kind")

    def test_older_ones_load_with_one_warning_and_new_ones_load_everywhere(self, run, trained):
        path, older = trained / LAST, trained.with_name("older")
        shutil.copytree(trained, older)
        torch.save(torch.load(path, weights_only=True), older / LAST)
        outcome = run(f"resume={older}", "samples=300")
        assert outcome.status == 0, outcome.err
        assert outcome.out.count("has no checksum") == 1
        assert f"{LAST}: has no checksum" in outcome.out
        outcome = run(f"resume={trained}", "samples=300")
        assert "checksum" not in outcome.out + outcome.err
        old, new = (torch.load(directory / LAST, weights_only=True)["state_dict"] for directory in (older, trained))
        assert all(torch.equal(value, new[name]) for name, value in old.items() if isinstance(value, torch.Tensor))


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
            lambda: _keep_id(tmp_path, "abc"),
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


OTHER_VALUES = [
    ("test/bound", "NaN"),
    ("train_seconds", '"long"'),
    ("steps_per_second", "[]"),
    ("date", "3"),
    ("version/torch", "{}"),
]
BROKEN = {
    "results.json": [
        "",
        '{"status": "comp',
        "[]",
        '{"status": 3}',
        '{"status": "completed"}',
        "\xff",
        *(f'{{"status": "completed", "samples": 200, "{name}": {value}}}' for name, value in OTHER_VALUES),
    ],
    ".hydra/config.yaml": ["", "[]", "a: [", "seed: 0\n", "text"],
    "metrics.csv": ["samples,test/bound\n100,x\n", "a,b\n1,2\n", "\xff\n"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_a_run_with_a_broken_file_is_refused_in_one_line_and_has_a_report(trained, command, name, text):
    (trained / name).write_bytes(text.encode("latin-1"))
    for load in (lambda: vae_exp.load_run(trained), lambda: sample.sample(str(trained), n=1)):
        with pytest.raises(RunError) as refusal:
            load()
        one_line(str(refusal.value), str(trained / name))
        assert len(str(refusal.value).splitlines()) == 1
    status, _ = command(report, trained)
    assert status == 0
    assert "<html" in (trained / "report.html").read_text()


def test_the_report_names_what_counts_as_missing(trained, caplog, command):
    for name in BROKEN:
        (trained / name).write_text("")
    (trained / ".hydra" / "overrides.yaml").write_text("")
    assert command(report, trained)[0] == 0
    for name in ("results.json", ".hydra/config.yaml", ".hydra/overrides.yaml"):
        assert f"{trained / name}: cannot be read: it is empty. It counts as missing" in caplog.text


@pytest.mark.parametrize("text", ["", "a: 1", "[samples=200", "- 3"])
def test_a_broken_command_line_is_refused(run, trained, text):
    (trained / ".hydra" / "overrides.yaml").write_text(text)
    before = contents(trained)
    outcome = run(f"resume={trained}", "samples=400")
    assert outcome.status == 1
    one_line(outcome.err, "overrides.yaml: cannot be read")
    assert contents(trained) == before


def test_a_broken_table_is_refused_before_it_is_written_over(run, trained):
    (trained / "metrics.csv").write_text("samples,test/bound\n100,x\n")
    before = contents(trained)
    outcome = run(f"resume={trained}", "samples=400")
    assert outcome.status == 1
    one_line(outcome.err, "metrics.csv: cannot be read")
    assert contents(trained) == before


def test_half_a_number_is_no_number(tmp_path):
    (tmp_path / "metrics.csv").write_text("samples,test/bound\n100,-3.5\n200,-1")  # of −123.4
    assert read_metrics(tmp_path / "metrics.csv") == [{"samples": 100, "test/bound": -3.5}]


def test_lost_results_are_made_again(run, trained):
    before = vae_exp.load_run(trained).metrics
    (trained / "results.json").write_text("")
    outcome = run(f"resume={trained}")
    assert outcome.status == 0, outcome.err
    assert "results.json: cannot be read: it is empty. It counts as missing" in outcome.out
    after = vae_exp.load_run(trained).metrics
    assert {name: after[name] for name in ("status", "test/bound")} == {
        name: before[name] for name in ("status", "test/bound")
    }


@pytest.mark.parametrize("text", ["", "a/b", "two words", "\0\0\0\0"])
def test_a_broken_wandb_id_is_replaced(tmp_path, caplog, text):
    _keep_id(tmp_path, "abc123")
    assert _run_id(tmp_path) == "abc123"
    (tmp_path / "wandb" / "id").write_text(text)
    assert len(_run_id(tmp_path)) == 8
    assert f"{tmp_path}/wandb/id: cannot be read" in caplog.text


def test_a_broken_job_leaves_the_others_their_table_and_is_run_again(run, swept, command, caplog):
    (swept / "0" / "results.json").write_text("")
    (swept / "1" / ".hydra" / "overrides.yaml").write_text("[")
    (swept / "1" / "metrics.csv").write_text("\0")
    results = json.loads((swept / "2" / "results.json").read_text())
    (swept / "2" / "results.json").write_text(json.dumps(results | {"architecture.latent_dim": "many"}))
    (swept / "2" / ".hydra" / "config.yaml").write_text("")
    (swept / "2" / "figures").mkdir()
    (swept / "2" / "figures" / "samples.png").write_text("no picture")
    kept = (swept / "1" / "results.json").read_bytes()
    status, output = command(report, swept)
    assert status == 0
    assert "2 of 3 jobs completed" in output.out
    for name in ("0/results.json", "1/.hydra/overrides.yaml"):
        assert f"{swept / name}: cannot be read" in caplog.text
    outcome = run(f"sweep.resume={swept}")
    assert outcome.status == 0, outcome.err
    assert "2 of 3 jobs are completed; left: 0" in outcome.out
    assert "3 of 3 jobs completed" in outcome.out
    assert (swept / "1" / "results.json").read_bytes() == kept


def test_a_picture_that_would_fill_the_memory_is_left_out(swept, command, caplog):
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, b"IDAT")
    )
    for job in "01":
        (swept / job / "figures").mkdir()
        (swept / job / "figures" / "samples.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
        file = swept / job / ".hydra" / "overrides.yaml"
        file.write_text(file.read_text() + f"- architecture.latent_dim={job}\n")
    assert command(report, swept)[0] == 0
    assert "1/figures/samples.png: cannot be read: it has 100000 × 100000 pixels. It counts as missing" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("multirun.yaml", ""),
        ("multirun.yaml", "hydra: {overrides: {task: []}}"),
        ("multirun.yaml", "hydra: ["),
        ("jobs.json", ""),
        ("jobs.json", '[{"lr": "1"}]'),
    ],
)
def test_a_broken_record_of_a_sweep_is_refused(run, swept, command, name, text):
    (swept / name).write_text(text)
    before = contents(swept)
    outcome = run(f"sweep.resume={swept}")
    assert outcome.status == 1
    one_line(outcome.err, f"{name}: cannot be read")
    assert contents(swept) == before
    assert command(report, swept)[0] == 0  # the table needs neither


@pytest.mark.parametrize("text", ["", '[{"seed": 1}]'])
def test_a_broken_record_of_a_search_is_refused(run, tmp_path, tmp_path_factory, text):
    made = tmp_path_factory.getbasetemp() / "searched"
    search = ["-m", "hydra/sweeper=optuna", "seed=0,1", "hydra.sweeper.n_trials=1", "dataset.validation_size=50"]
    if not made.exists():
        assert run(*search, "samples=100", *QUICK, f"hydra.sweep.dir={made}").status == 0
    directory = shutil.copytree(made, tmp_path / "search")
    (directory / "proposals.json").write_text(text)
    outcome = run(f"sweep.resume={directory}", "hydra.sweeper.n_trials=2")
    assert outcome.status == 1
    assert "proposals.json: cannot be read" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (directory / "1").exists()
