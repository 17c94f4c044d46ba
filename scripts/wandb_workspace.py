"""Save a W&B dashboard of a project: what its runs log, put side by side.

    pip install 'vae_exp[workspace]'
    python scripts/wandb_workspace.py entity=<team> project=vae_exp
    python scripts/wandb_workspace.py entity=<team> dry_run=true    # only print what would be sent: needs no account

Every call saves one more view of the project. Runs are not grouped: the mean over a sweep's latent sizes says nothing.
"""

import unicodedata
from typing import Annotated

import wandb
from annotated_types import MinLen
from wandb.sdk.lib.service.service_connection import WandbApiFailedError  # is no wandb.errors.Error

from vae_exp.cli.arguments import run_as_command
from vae_exp.errors import ConfigError, UserError, needs_extra
from vae_exp.results.metrics import SPLITS

try:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ModuleNotFoundError:
    wr = ws = None

USAGE = "python scripts/wandb_workspace.py entity=<team> [project=vae_exp] [name=Autoencoders] [dry_run=false]"

TRAINING = ("loss", "gradient_norm", "samples_per_second", "steps_per_second")
PICTURES = ("reconstructions", "samples", "manifold", "latent_scatter", "analogies", "filters")
OF_A_SWEEP = ("figure2", "figure3")
LATENT_DIM = "architecture.latent_dim"


def save(
    entity: Annotated[str, MinLen(1)],
    project: Annotated[str, MinLen(1)] = "vae_exp",
    name: Annotated[str, MinLen(1)] = "Autoencoders",
    dry_run: bool = False,
) -> str:
    """Save the dashboard.

    Args:
        entity: W&B user or team.
        project: Its project.
        name: What the dashboard is called.
        dry_run: Send nothing.

    Returns:
        Where it is; in a dry run its specification as JSON, as it would be sent.

    Raises:
        UserError: The extra is not installed, there is no account, or it cannot be saved.
    """
    if ws is None:
        raise ConfigError(needs_extra("scripts/wandb_workspace.py", "workspace"))
    if any(unicodedata.category(character).startswith("S") for character in name):
        raise ConfigError(f"name={name}: is not allowed: W&B takes no symbols in it, such as +, $ or an emoji")
    view = dashboard(entity, project, name)
    if dry_run:
        return specification(view)

    try:
        if not wandb.login(prompt=False, verify=False):
            raise UserError("W&B: no account is configured (wandb login, or WANDB_API_KEY), or WANDB_MODE is offline")
        return view.save().url
    except (wandb.errors.Error, WandbApiFailedError) as error:
        raise UserError(f"entity={entity} project={project}: not saved: {' '.join(str(error).split())}") from error


def dashboard(entity: str, project: str, name: str) -> "ws.Workspace":
    """Everything against `samples`; evaluations lie at log-spaced counts of them, and so does their axis."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            section("Bounds", by_split("bound", "log_likelihood")),
            section("Bound against latent size", against_latent_size(), columns=2),
            section("Pictures", pictures(*PICTURES)),
            section("Terms", by_split("nll", "kl")),
            section("Latents", by_split("active_units")),
            section("Semi-supervised", by_split("error")),
            section("Training", [curve(metric) for metric in TRAINING], columns=2),
            section("Sweeps", [wr.WeavePanelSummaryTable(table_name="sweep"), *pictures(*OF_A_SWEEP)], columns=1),
        ],
        settings=ws.WorkspaceSettings(x_axis="samples", max_runs=100),  # 10 by default: fewer than a sweep has
        runset_settings=ws.RunsetSettings(
            pinned_columns=["run:group", column(LATENT_DIM), column("seed"), "summary:test/bound"]
        ),
    )


def specification(view: "ws.Workspace") -> str:
    """The JSON that `view.save()` would send; the library has no public way to get it without an account."""
    return view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=2)


def section(name: str, panels: "list[wr.interface.Panel]", columns: int = len(SPLITS)) -> "ws.Section":
    """All of its panels on one page."""
    layout = ws.SectionLayoutSettings(columns=columns, rows=-(-len(panels) // columns))
    return ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout)


def by_split(*metrics: str) -> "list[wr.LinePlot]":
    """A row per metric, a column per split."""
    return [curve(f"{split}/{metric}", log_x=True) for metric in metrics for split in SPLITS]


def curve(metric: str, log_x: bool = False) -> "wr.LinePlot":
    """A line per run."""
    return wr.LinePlot(x="samples", y=[metric], log_x=log_x)


def against_latent_size() -> "list[wr.interface.Panel]":
    """The test bound of every run, and what a search over settings is judged by."""
    scatter = wr.ScatterPlot(x=wr.Config(LATENT_DIM), y=wr.SummaryMetric("test/bound"), log_x=True)
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(LATENT_DIM), log=True),
        wr.ParallelCoordinatesPlotColumn(wr.Config("optimizer.lr"), log=True),
        wr.ParallelCoordinatesPlotColumn(wr.Config("architecture.beta")),
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("validation/bound")),
    ]
    return [scatter, wr.ParallelCoordinatesPlot(columns=columns)]


def pictures(*names: str) -> "list[wr.MediaBrowser]":
    """A panel per kind of picture."""
    return [wr.MediaBrowser(title=name, media_keys=[f"figures/{name}"]) for name in names]


def column(key: str) -> str:
    """A config key as W&B's table of runs names it: what lies below a key of the top is in its `value`."""
    top, *below = key.split(".")
    return f"config:{'.'.join([top, 'value', *below])}"


if __name__ == "__main__":
    run_as_command(save, USAGE)
