import csv
import json
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb_file import read_wandb

from vae_exp.config.paths import CONFIG_DIR
from vae_exp.training.loggers import wandb as wandb_logger

QUICK = [
    "samples=1000",
    "network.hidden_sizes=[20]",
    "callbacks.evaluate.decades=1",
    "trainer.log_every_n_steps=2",
]
pytestmark = pytest.mark.usefixtures("few_digits")


def test_the_offline_file_holds_history_images_config_and_exit_code(run):
    outcome = run(*QUICK, "seed=7", "name=shelf")
    assert outcome.status == 0, outcome.err
    (logged,) = read_wandb(outcome.directory)
    assert (logged.project, logged.group, logged.job_type, logged.exit_code) == ("vae_exp", "shelf", "train", 0)
    assert logged.config["seed"] == 7
    assert logged.config["architecture"]["latent_dim"] == 20
    assert logged.metrics["*"] == "samples"

    with (outcome.directory / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    evaluations = [row for row in logged.history if "test/bound" in row]
    assert [row["samples"] for row in evaluations] == [int(row["samples"]) for row in table]
    assert [row["test/bound"] for row in evaluations] == [float(row["test/bound"]) for row in table]
    assert [row["samples"] for row in logged.history if "loss" in row] == [200, 400, 600, 1000]

    histograms = [row for row in logged.history if any(key.startswith("test/kl_per_latent") for key in row)]
    assert [row["samples"] for row in histograms] == [int(row["samples"]) for row in table]

    images = {key: row for row in logged.history for key in row if key.endswith("/filenames")}
    assert set(images) == {"figures/reconstructions/filenames", "figures/samples/filenames"}
    for key, row in images.items():
        assert row["samples"] == 1000
        (picture,) = row[key]
        assert next(outcome.directory.glob(f"wandb/offline-run-*/files/{picture}")).stat().st_size > 10_000


def test_a_run_that_fails_says_so(run):
    outcome = run(*QUICK, "optimizer=sgd", "optimizer.lr=1e9")
    assert outcome.status == 1
    (logged,) = read_wandb(outcome.directory)
    assert logged.exit_code == 1


def test_each_run_of_a_process_is_a_run_of_its_own_and_a_resumed_one_keeps_its_id(run):
    quick = [*QUICK, "callbacks.figures=null"]
    first, second = run(*quick), run(*quick, "seed=1")
    again = run(f"resume={first.directory}", "samples=1500")
    assert again.status == 0, again.err
    ids = [[logged.run_id for logged in read_wandb(outcome.directory)] for outcome in (first, second)]
    assert len(ids[0]) == 2
    assert len(set(ids[0])) == 1
    assert ids[1][0] not in ids[0]
    assert [row["samples"] for row in read_wandb(first.directory)[1].history if "test/bound" in row] == [1500]


def test_the_mode_follows_the_account(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(wandb_logger.wandb, "init", lambda **arguments: seen.update(arguments) or _NoRun())
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for account, mode in ((True, "online"), (False, "offline")):
        monkeypatch.setattr(wandb_logger, "account_configured", lambda account=account: account)
        wandb_logger.WandB(tmp_path, {"name": "shelf"})
        assert seen["mode"] == mode
    monkeypatch.setenv("WANDB_MODE", "disabled")
    wandb_logger.WandB(tmp_path, {"name": "shelf"})
    assert seen["mode"] == "disabled"


class _NoRun:
    id = "none"

    def define_metric(self, *names: str, **options: object) -> None:
        pass


def test_without_a_logger_nothing_of_it_is_written(run):
    outcome = run(*QUICK, "logger=none", "callbacks.figures=null")
    assert outcome.status == 0, outcome.err
    assert not (outcome.directory / "wandb").exists()
    assert (outcome.directory / "metrics.csv").exists()


def read_tensorboard(directory):
    return EventAccumulator(str(directory / "tensorboard"), {"images": 0, "scalars": 0}).Reload()


@pytest.mark.parametrize("choice", ["tensorboard", "many"])
def test_the_event_file_holds_metrics_and_pictures_against_samples_and_the_config(run, choice):
    outcome = run(*QUICK, f"logger={choice}", "seed=7")
    assert outcome.status == 0, outcome.err
    events = read_tensorboard(outcome.directory)
    with (outcome.directory / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    for name in table[0].keys() - {"samples"}:
        written = [(event.step, event.value) for event in events.Scalars(name)]
        assert written == [(int(row["samples"]), pytest.approx(float(row[name]), rel=1e-5)) for row in table]
    assert [event.step for event in events.Scalars("loss")] == [200, 400, 600, 1000]
    (histogram,) = events.Histograms("test/kl_per_latent")  # EventAccumulator keeps the last one
    assert (histogram.step, histogram.histogram_value.num) == (1000, 20)
    assert set(events.Tags()["images"]) == {"figures/reconstructions", "figures/samples"}
    (picture,) = events.Images("figures/samples")
    assert (picture.step, picture.width > 100) == (1000, True)
    session = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"architecture.latent_dim" in session
    assert "seed: 7\n" in (outcome.directory / "tensorboard" / "hparams.yaml").read_text()
    assert (outcome.directory / "wandb").exists() == (choice == "many")
    history = [row for logged in read_wandb(outcome.directory) for row in logged.history if "test/bound" in row]
    assert [row["samples"] for row in history] == [int(row["samples"]) for row in table if choice == "many"]


def test_what_is_drawn_after_a_kill_stands_at_the_samples_of_the_model(run):
    outcome = run(*QUICK, "logger=tensorboard", "callbacks.figures=null")
    results = outcome.results | {"status": "interrupted"}
    (outcome.directory / "results.json").write_text(json.dumps(results))
    assert (
        run(f"resume={outcome.directory}", "callbacks.figures={_target_:vae_exp.training.drawing.DrawFigures}").status
        == 0
    )
    assert [event.step for event in read_tensorboard(outcome.directory).Images("figures/samples")] == [1000]


@pytest.mark.parametrize("choice", ["tensorboard", "many"])
def test_without_tensorboard_its_extra_is_named(run, monkeypatch, choice):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    outcome = run(*QUICK, f"logger={choice}")
    assert outcome.status == 1
    assert "pip install 'vae_exp[tensorboard]'" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.results["status"] == "failed"


def test_one_of_many_can_be_told_apart(run):
    quick = [*QUICK, "logger=many", "callbacks.figures=null"]
    outcome = run(*quick, "logger.tensorboard=null", "logger.wandb.project=shelf")
    assert outcome.status == 0, outcome.err
    assert [logged.project for logged in read_wandb(outcome.directory)] == ["shelf"]
    assert not (outcome.directory / "tensorboard").exists()
    assert "logger.wandb.projekt" in run(*quick, "+logger.wandb.projekt=shelf").err


def test_a_sweep_has_a_group_of_its_own_a_run_per_job_and_one_of_the_whole(run, tmp_path):
    sweep = tmp_path / "shelf"
    words = ["-m", *QUICK, "name=books", "architecture.latent_dim=2,3", f"hydra.sweep.dir={sweep}"]
    words += ["+callbacks.figures.images=20", "callbacks.figures.manifold_side=2"]
    outcome = run(*words)
    assert outcome.status == 0, outcome.err
    jobs = [logged for job in ("0", "1") for logged in read_wandb(sweep / job)]
    (whole,) = read_wandb(sweep)
    assert len({logged.run_id for logged in (*jobs, whole)}) == 3
    assert {logged.group for logged in (*jobs, whole)} == {"books/shelf"}
    assert [logged.job_type for logged in (*jobs, whole)] == ["train", "train", "summary"]
    assert [logged.name for logged in (*jobs, whole)] == ["0 latent_dim=2", "1 latent_dim=3", "shelf"]
    assert [logged.exit_code for logged in (*jobs, whole)] == [0, 0, 0]
    for logged in jobs:
        assert [row["samples"] for row in logged.history if "test/active_units" in row][-1] == 1000
        for row in logged.history:
            assert "loss" not in row or (row["gradient_norm"] > 0 and row["samples_per_second"] > 0)
    drawn = [{key for row in logged.history for key in row if key.endswith("/filenames")} for logged in jobs]
    of_any = {f"figures/{name}/filenames" for name in ("reconstructions", "samples")}
    assert drawn == [of_any | {f"figures/{name}/filenames" for name in ("latent_scatter", "manifold")}, of_any]

    (row,) = [row for row in whole.history if "sweep/path" in row]
    (folder,) = sweep.glob("wandb/offline-run-*/files")
    table = json.loads((folder / row["sweep/path"]).read_text())
    with (sweep / "sweep.csv").open() as file:
        written = list(csv.reader(file))
    assert [table["columns"], *([cell or "" for cell in cells] for cells in table["data"])] == written
    assert (folder / row["figures/figure2/path"]).read_bytes() == (sweep / "figure2.png").read_bytes()


@pytest.mark.parametrize("search", ["wandb_sweep", "wandb_sweep_grid"])
def test_what_a_wandb_agent_types_is_a_run(run, search):
    asked = OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / f"{search}.yaml"), resolve=False)
    words = asked["command"]
    assert words[:4] + words[-1:] == ["${env}", "python", "-m", "vae_exp", "${args_no_hyphens}"]
    assert asked["method"] == {"wandb_sweep": "bayes", "wandb_sweep_grid": "grid"}[search]
    values = {key: spec.get("min", spec.get("values", [None])[0]) for key, spec in asked["parameters"].items()}
    typed = [*(word.replace("10000", "100") for word in words[4:-1]), *(f"{key}={v}" for key, v in values.items())]
    outcome = run(*typed, *QUICK, "callbacks.figures=null")
    assert outcome.status == 0, outcome.err
    (logged,) = read_wandb(outcome.directory)
    assert any(asked["metric"]["name"] in row for row in logged.history)


ENVIRONMENT = {
    "WANDB_PROJECT": "shelf",
    "WANDB_NAME": "book",
    "WANDB_RUN_GROUP": "row",
    "WANDB_JOB_TYPE": "reading",
    "WANDB_TAGS": "red,blue",
    "WANDB_RUN_ID": "isbn",
}


def test_the_variables_of_wandb_stand_where_the_config_says_nothing(run, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name, value in {**ENVIRONMENT, "WANDB_DIR": str(tmp_path / "elsewhere")}.items():
        monkeypatch.setenv(name, value)
    quick = [*QUICK, "logger=wandb", "callbacks.figures=null", "samples=200"]
    first = run(*quick, "logger.name=other")
    assert first.status == 0, first.err
    monkeypatch.setenv("WANDB_RUN_ID", "another")
    assert run(f"resume={first.directory}", "samples=300").status == 0
    logged, resumed = read_wandb(tmp_path / "elsewhere")
    assert (logged.project, logged.group, logged.job_type, logged.name) == ("shelf", "row", "reading", "other")
    assert (logged.run_id, resumed.run_id) == ("isbn", "isbn")
    assert logged.tags == ["red", "blue"]

    sweep = run("-m", "seed=0", *quick, "logger.mode=disabled", "hydra.sweep.dir=sweep")
    assert sweep.status == 0, sweep.err
    assert "WANDB_RUN_ID=another: is the id of one run" in sweep.out
    assert Path("sweep/0/wandb/id").read_text() != "another"
