"""W&B's own commands against a stand-in for its server."""

import csv
import json
import re
import subprocess
import sys

import pytest
from wandb_file import read_wandb
from wandb_server import environment

from vae_exp.config.paths import CONFIG_DIR

SMALL = ["callbacks.evaluate.decades=0.01", "network.hidden_sizes=[8]"]


@pytest.fixture
def python(wandb_server, tmp_path):
    """`python -m …` of a user whose W&B is the stand-in: what it said."""

    def call(*words):
        ended = subprocess.run(
            [sys.executable, "-m", *map(str, words)],
            cwd=tmp_path,
            env=environment(tmp_path, wandb_server.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    return call


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_what_was_logged_offline_is_uploaded(run, python, wandb_server, tmp_path):
    sweep = tmp_path / "shelf"
    words = ["-m", *SMALL, "samples=1000", "name=books", "architecture.latent_dim=2,3", f"hydra.sweep.dir={sweep}"]
    words += ["+callbacks.figures.images=20", "callbacks.figures.manifold_side=2"]
    for outcome in (run(*words), run(f"resume={sweep / '0'}", "samples=1500")):
        assert outcome.status == 0, outcome.err
    folders = sorted([*sweep.glob("*/wandb/offline-run-*"), *sweep.glob("wandb/offline-run-*")])
    assert len(folders) == 4
    said = python("wandb", "sync", *folders)
    assert "ERROR" not in said, said

    ids = [(folder / "wandb" / "id").read_text() for folder in (sweep / "0", sweep / "1", sweep)]
    assert set(wandb_server.runs) == set(ids)
    sent = [wandb_server.runs[name] for name in ids]
    keys = ("project", "groupName", "jobType", "displayName")
    assert [[of_run.properties[key] for key in keys] for of_run in sent] == [
        ["vae_exp", "books/shelf", "train", "0 latent_dim=2"],
        ["vae_exp", "books/shelf", "train", "1 latent_dim=3"],
        ["vae_exp", "books/shelf", "summary", "shelf"],
    ]
    assert [of_run.exit_code for of_run in sent] == [0, 0, 0]
    *jobs, whole = sent
    assert [job.config["architecture"]["latent_dim"] for job in jobs] == [2, 3]
    assert [job.config["samples"] for job in jobs] == [1500, 1000]
    for job, pictures in zip(jobs, (2, 1), strict=True):
        assert [row["_step"] for row in job.history] == [*range(len(job.history))]
        drawn = [row["figures/samples"]["filenames"][0] for row in job.history if "figures/samples" in row]
        assert [job.files[name][:4] for name in drawn] == pictures * [b"\x89PNG"]
    with (sweep / "0" / "metrics.csv").open() as file:
        table = [(int(row["samples"]), float(row["test/bound"])) for row in csv.DictReader(file)]
    assert [(row["samples"], row["test/bound"]) for row in jobs[0].history if "test/bound" in row] == table
    assert [samples for samples, _ in table] == [1000, 1500]

    (row,) = [row for row in whole.history if "sweep" in row]
    assert len(json.loads(whole.files[row["sweep"]["path"]])["data"]) == 2
    assert "sweep.table.json" in whole.files  # the same as an artifact, which W&B's pages read
    assert whole.files[row["figures/figure2"]["path"]] == (sweep / "figure2.png").read_bytes()


@pytest.mark.slow
def test_an_agent_starts_a_run_of_its_sweep(run, python, wandb_server, tmp_path):
    words = [*SMALL, "samples=300", "dataset.train_size=400", "callbacks.figures=null", "hydra.run.dir=shelf"]
    words += ["callbacks.evaluate.images=100"]
    asked = (CONFIG_DIR / "wandb_sweep.yaml").read_text().replace("10000", "100")
    *lines, arguments = asked.splitlines()
    (tmp_path / "sweep.yaml").write_text("\n".join([*lines, *(f"  - {word}" for word in words), arguments]))
    sweep = re.search(r"wandb agent (team/vae_exp/(\S+))", python("wandb", "sweep", "sweep.yaml"))

    values = {"architecture.latent_dim": 5, "optimizer.lr": 0.013, "architecture.beta": 0.5}
    wandb_server.settings = [{"run_id": "asked", "args": {key: {"value": value} for key, value in values.items()}}]
    said = python("wandb", "agent", "--count=1", sweep[1])
    assert [*wandb_server.runs] == ["asked"], said
    sent = wandb_server.runs["asked"]
    assert (sent.properties["sweep"], sent.exit_code) == (sweep[2], 0)
    assert {key: sent.config[key] for key in values} == values
    assert sent.config["architecture"]["latent_dim"] == 5
    (summary,) = sent.lines("wandb-summary.json")
    results = json.loads((tmp_path / "shelf" / "results.json").read_text())
    assert summary["validation/bound"] == results["validation/bound"]

    outcome = run("resume=shelf", "samples=500", "logger.mode=offline")  # no agent told it to
    assert outcome.status == 0, outcome.err
    assert [logged.run_id for logged in read_wandb(tmp_path / "shelf")] == ["asked"]
