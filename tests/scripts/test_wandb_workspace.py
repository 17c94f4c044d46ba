import json
import os
import runpy
import sys
from pathlib import Path

import pytest
import wandb
from wandb_file import read_wandb
from wandb_server import environment

SCRIPT = Path(__file__).parents[2] / "scripts" / "wandb_workspace.py"
QUICK = ["samples=500", "callbacks.evaluate.decades=0.01", "trainer.log_every_n_steps=2", "network.hidden_sizes=[8]"]
QUICK += ["callbacks.figures.manifold_side=2", "+callbacks.figures.images=20"]
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style `@validator`:pydantic.PydanticDeprecatedSince20")


@pytest.fixture
def script(monkeypatch, capfd):
    """`python scripts/wandb_workspace.py …` in this process: its status, and what it said."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
        capfd.readouterr()
        status = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            status = end.code
        return status, *capfd.readouterr()

    return call


@pytest.fixture
def spec(script):
    status, out, err = script("entity=team", "dry_run=true")
    assert (status, err) == (0, "")
    return json.loads(out)


def panels(spec):
    """Type and settings of every panel, by section."""
    sections = spec["section"]["panelBankConfig"]["sections"]
    return {s["name"]: [(panel["viewType"], panel["config"]) for panel in s["panels"]] for s in sections}


def named(spec):
    """What the dashboard shows: metrics, pictures, and keys as W&B's tables name them."""
    (runs,) = spec["section"]["runSets"]
    metrics, pictures, columns = set(), set(), set(runs["runFeed"]["columnOrder"])
    for kind, config in (panel for of_section in panels(spec).values() for panel in of_section):
        if kind == "Run History Line Plot":
            metrics |= {config["xAxis"], *config["metrics"]}
        elif kind == "Media Browser":
            pictures |= set(config["mediaKeys"])
        elif kind == "Scatter Plot":
            columns |= {config["xAxis"], config["yAxis"]}
        elif kind == "Parallel Coordinates Plot":
            columns |= {axis["accessor"] for axis in config["columns"]}
        else:
            assert kind == "Weave"
            columns.add(f"summary:{config['panel2Config']['exp']['fromOp']['inputs']['key']['val']}")
    return metrics, pictures, columns


def nested(config, *above):
    """The keys of all values in it, with dots."""
    for key, value in config.items():
        yield from nested(value, *above, key) if isinstance(value, dict) else [".".join([*above, key])]


def test_every_evaluation_stands_against_samples_on_a_log_axis(spec):
    sections = panels(spec)
    for name, metrics in {
        "Bounds": ["bound", "log_likelihood"],
        "Terms": ["nll", "kl"],
        "Latents": ["active_units"],
        "Semi-supervised": ["error"],
    }.items():
        splits = [f"{split}/{metric}" for metric in metrics for split in ("train", "validation", "test")]
        assert [config["metrics"] for _, config in sections[name]] == [[split] for split in splits]
        assert {(config["xAxis"], config["xLogScale"]) for _, config in sections[name]} == {("samples", True)}
    assert spec["section"]["settings"]["xAxis"] == "samples"


def test_the_bound_stands_against_the_latent_size_and_the_other_settings_of_a_search(spec):
    (_, scatter), (_, parallel) = panels(spec)["Bound against latent size"]
    assert (scatter["xAxis"], scatter["yAxis"]) == ("config:architecture.value.latent_dim", "summary:test/bound")
    assert [axis["accessor"] for axis in parallel["columns"]] == [
        "config:architecture.value.latent_dim",
        "config:optimizer.value.lr",
        "config:architecture.value.beta",
        "summary:validation/bound",
    ]


def test_the_library_reads_the_same_dashboard_back(spec):
    from wandb_workspaces.workspaces import Workspace, internal

    read = internal.WorkspaceViewspec.model_validate(spec)
    view = internal.View(entity="team", project="vae_exp", display_name="Autoencoders", name="", id="", spec=read)
    again = Workspace._from_model(view)._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    assert json.loads(again) == spec


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_runs_log_whatever_it_shows(run, spec, tmp_path):
    words = ["-m", *QUICK, "architecture.latent_dim=2", "dataset.validation_size=50"]
    family = ["architecture=cvae,m2,ae"]
    likelihood = [
        "seed=0",
        "callbacks.figures=null",
        "callbacks.evaluate.marginal_likelihood=true",
        "callbacks.evaluate.images=10",
    ]
    for name, more in {"family": family, "likelihood": likelihood}.items():
        outcome = run(*words, *more, f"hydra.sweep.dir={tmp_path / name}")
        assert outcome.status == 0, outcome.err
    folders = [*tmp_path.glob("*/[0-9]"), *tmp_path.glob("*")]
    runs = [logged for folder in folders for logged in read_wandb(folder)]
    assert [logged.job_type for logged in runs] == 4 * ["train"] + 2 * ["summary"]

    keys = {key for logged in runs for row in logged.history for key in row}
    drawn = {key.rpartition("/")[0] for key in keys if key.startswith("figures/")}
    metrics, pictures, columns = named(spec)
    assert metrics <= keys
    assert {"figures/figure2", "figures/figure3"} <= pictures
    assert pictures == drawn
    of_runs = {"run:displayName", "run:group"}
    of_runs |= {f"summary:{key.removesuffix('/path')}" for key in keys}
    configs = [{key: {"value": value} for key, value in logged.config.items()} for logged in runs]  # as W&B keeps them
    of_runs |= {f"config:{key}" for config in configs for key in nested(config)}
    assert "summary:sweep" in columns
    assert columns <= of_runs


@pytest.fixture
def online(script, monkeypatch, tmp_path):
    """The script of a user who has an account there only."""

    def call(*words, url=None):
        wandb.teardown()  # it has read the variables
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            monkeypatch.delenv(name)
        for name, value in environment(tmp_path, url).items():
            monkeypatch.setenv(name, value)
        return script(*words)

    yield call
    wandb.teardown()


def without_ids(spec):
    for section in spec["section"]["panelBankConfig"]["sections"]:
        for panel in section["panels"]:
            del panel["__id__"]
    return spec


def test_the_dashboard_is_sent_to_the_project(spec, wandb_server, online):
    url = wandb_server.url
    status, out, err = online("entity=team", "project=shelf", "name=Books, compared", url=url)
    assert status == 0, err
    (view,) = wandb_server.views
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("team", "shelf", "Books, compared")
    assert view["type"] == "project-view"
    assert without_ids(json.loads(view["spec"])) == without_ids(spec)
    code = view["name"].removeprefix("nw-").removesuffix("-v")
    assert out == f"{url}/team/shelf?nw={code}\n"

    status, _, err = online("entity=strangers", url=url)
    assert status == 1
    assert "entity=strangers project=vae_exp: not saved: " in err
    assert "permission denied" in err
    assert "Traceback" not in err


def test_without_an_account_that_is_said(online):
    status, out, err = online("entity=team")
    assert (status, out) == (1, "")
    assert "W&B: no account is configured (wandb login" in err
    assert "Traceback" not in err


def test_without_the_library_its_extra_is_named(script, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    status, out, err = script("entity=team", "dry_run=true")
    assert (status, out) == (1, "")
    assert "pip install 'vae_exp[workspace]'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "entity: a value is needed"),
        (["entity="], "entity=: is not allowed"),
        (["entity=team", "projekt=shelf"], "projekt: no such key. Did you mean project?"),
        (["entity=team", "dry_run=perhaps"], "dry_run=perhaps: is not allowed"),
        (["entity=team", "dry_run=true", "name=Books + films"], "name=Books + films: is not allowed"),
    ],
)
def test_a_mistake_is_one_message(script, words, message):
    status, out, err = script(*words)
    assert (status, out) == (1, "")
    assert err.startswith(message)
