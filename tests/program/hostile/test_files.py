"""The other files of a run or sweep: checkpoints, links, pipes, tables and pages."""

import json
import os
import re
import shutil

import pytest
import torch
import yaml
from pages import report_data
from sent import READERS, config_of, main_of, program, put, words_of

from vae_exp.cli import report


@pytest.mark.parametrize("reader", ["load_run", "sample", "evaluate", "start_from", "resume"])
def test_a_checkpoint_is_never_unpickled(hostile, refused, canary, reader):
    (hostile / "checkpoints" / "last.ckpt").write_bytes((canary.parent / "saved").read_bytes())
    assert "last.ckpt: is damaged or not a checkpoint" in refused(READERS[reader], hostile)


def test_the_config_in_a_checkpoint_is_data_too(hostile, refused):
    file = hostile / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["vae_exp"]["config"] = checkpoint["vae_exp"]["config"].replace("\nseed: 0", "\nseed: ${oc.env:CANARY}")
    torch.save(checkpoint, file)
    assert refused(READERS["resume"], hostile).startswith("seed=${oc.env:CANARY} in ")


@pytest.mark.parametrize("stage", ["..", "../sent", "/etc", ".", "a/b", ""], ids=str)
@pytest.mark.parametrize("reader", ["load_run", "report"])
def test_a_stage_is_a_folder_of_the_run(hostile, refused, reader, stage):
    results = json.loads((hostile / "results.json").read_text())
    (hostile / "results.json").write_text(json.dumps(results | {"stage": stage}))
    put(config_of(hostile), "stages", {"one": []})
    assert f"stage in {hostile / 'results.json'}" in refused(READERS[reader], hostile)


@pytest.mark.parametrize(
    ("reader", "link"),
    [
        *((reader, ".lock") for reader in READERS),
        *(("resume", link) for link in ("results.json.part", "vae_exp.log", "figures", "figures/key.png")),
    ],
)
def test_a_link_that_leads_out_is_refused(hostile, refused, canary, reader, link):
    secret = canary.parent / "secret"
    secret.write_text("secret")
    (hostile / link).unlink(missing_ok=True)
    (hostile / link).parent.mkdir(exist_ok=True)
    (hostile / link).symlink_to(canary.parent if link == "figures" else secret)
    assert "is a link that leads out" in refused(READERS[reader], hostile)
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["results.json", "metrics.csv", "checkpoints/last.ckpt"])
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(hostile, refused, reader, name):
    (hostile / name).unlink()
    os.mkfifo(hostile / name)
    assert refused(READERS[reader], hostile) == f"{hostile / name}: is neither a file nor a folder: take it out"


@pytest.mark.parametrize("reader", ["load_run", "resume"])
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda weights, name: weights.pop(name), "is missing"),
        (
            lambda weights, name: weights.update({"architecture.\x1b[2J\n": torch.ones(1)}),
            "\\n' is not in the model",
        ),
        (lambda weights, name: weights.update({name: torch.ones(3)}), "is [3] there and [4, 784] by the config"),
        (lambda weights, name: weights.update({name: 3}), "is no dense tensor there"),
    ],
    ids=["missing", "odd", "size", "number"],
)
def test_weights_that_do_not_fit_are_named_in_one_line(hostile, refused, reader, change, fault):
    file = hostile / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    change(checkpoint["state_dict"], next(iter(checkpoint["state_dict"])))
    torch.save(checkpoint, file)
    message = refused(READERS[reader], hostile)
    assert "last.ckpt: does not fit the run's config: " in message
    assert fault in message


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("identity", ["../../canary", "", "x\nrun"])
def test_the_id_of_a_wandb_run_is_an_id_or_a_new_one_is_made(hostile, monkeypatch, capfd, identity):
    (hostile / "wandb").mkdir()
    (hostile / "wandb" / "id").write_text(identity)
    program(monkeypatch, f"resume={hostile}", "samples=300", "logger=wandb")
    assert re.fullmatch("[a-z0-9]{8}", (hostile / "wandb" / "id").read_text())
    assert f"{hostile}/wandb/id: cannot be read" in capfd.readouterr().out


EVIL = "<img src=x onerror=alert(1)>](http://x)|\x1b]0;x\x07\n# head"


def test_tables_and_pages_show_what_is_stored_as_text(hostile_sweep, monkeypatch):
    job = hostile_sweep / "0"
    words_of(job).write_text(yaml.safe_dump(["seed=0", f"architecture.latent_dim=={EVIL}", "=1+1|x=3"]))
    shutil.copytree(job, hostile_sweep / "1")
    words_of(hostile_sweep / "1").write_text(yaml.safe_dump(["seed=1", "architecture.latent_dim=-2.5"]))
    results = json.loads((job / "results.json").read_text())
    (job / "results.json").write_text(json.dumps(results | {"device": EVIL, "error": EVIL, "network": EVIL}))
    main_of(report)(monkeypatch, hostile_sweep)
    table = (hostile_sweep / "sweep.md").read_text()
    assert "\x1b" not in table
    assert "<" not in table
    assert "](" not in table
    assert "\n# head" not in table
    cells = (hostile_sweep / "sweep.csv").read_text()
    assert ",-2.5," in cells
    assert "'=<img" in cells
    page = (hostile_sweep / "report.html").read_text()
    assert "<img src=x" not in page
    assert EVIL in str(report_data(hostile_sweep)["origin"])


def test_a_page_may_run_its_own_script_alone_and_ask_nothing_of_a_network(clean):
    page = (clean / "report.html").read_text()
    policy = page.partition('http-equiv="Content-Security-Policy"')[2].partition(">")[0]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert "http:" not in policy
    assert "base-uri 'none'" in policy
