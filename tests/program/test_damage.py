"""Damaged files: each is refused, or counts as missing, in one line that names it; nothing else is touched."""

import json
import shutil
import struct
import zlib

import pytest
from messages import contents, one_line

import vae_exp
from vae_exp.cli import report, sample
from vae_exp.errors import RunError

pytestmark = pytest.mark.usefixtures("few_digits")
QUICK = ["network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "callbacks.evaluate.decades=0.3"]

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
