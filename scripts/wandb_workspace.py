"""Save a W&B dashboard that compares the runs of a project.

    pip install 'vae_exp[workspace]'
    python scripts/wandb_workspace.py entity=<team> project=vae_exp
    python scripts/wandb_workspace.py entity=<team> dry_run=true    # print only, without an account

Every call saves a new view of the project. Runs are not grouped, because a mean over different latent sizes has no
meaning.
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
        project: The project of this user or team.
        name: The name of the dashboard.
        dry_run: Do not send the dashboard.

    Returns:
        The address of the dashboard; in a dry run its specification, as JSON.

    Raises:
        UserError: The extra is not installed, there is no account, or the dashboard cannot be saved.
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
    """Build the dashboard. Its x axis is `samples`, on a log scale for evaluations, which are at log-spaced counts."""
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
        settings=ws.WorkspaceSettings(x_axis="samples", max_runs=100),  # the default of 10 is too few for a sweep
        runset_settings=ws.RunsetSettings(
            pinned_columns=["run:group", column(LATENT_DIM), column("seed"), "summary:test/bound"]
        ),
    )


def specification(view: "ws.Workspace") -> str:
    """The JSON that `view.save()` would send; the library has no public way to get it without an account."""
    return view._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=2)


def section(name: str, panels: "list[wr.interface.Panel]", columns: int = len(SPLITS)) -> "ws.Section":
    """Build a section that shows all its panels on one page."""
    layout = ws.SectionLayoutSettings(columns=columns, rows=-(-len(panels) // columns))
    return ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout)


def by_split(*metrics: str) -> "list[wr.LinePlot]":
    """Build panels in one row per metric and one column per split."""
    return [curve(f"{split}/{metric}", log_x=True) for metric in metrics for split in SPLITS]


def curve(metric: str, log_x: bool = False) -> "wr.LinePlot":
    """Build a panel with one line per run."""
    return wr.LinePlot(x="samples", y=[metric], log_x=log_x)


def against_latent_size() -> "list[wr.interface.Panel]":
    """Build two panels: the test bound against the latent size, and the settings of a search with their ranking."""
    scatter = wr.ScatterPlot(x=wr.Config(LATENT_DIM), y=wr.SummaryMetric("test/bound"), log_x=True)
    columns = [
        wr.ParallelCoordinatesPlotColumn(wr.Config(LATENT_DIM), log=True),
        wr.ParallelCoordinatesPlotColumn(wr.Config("optimizer.lr"), log=True),
        wr.ParallelCoordinatesPlotColumn(wr.Config("architecture.beta")),
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("validation/bound")),
    ]
    return [scatter, wr.ParallelCoordinatesPlot(columns=columns)]


def pictures(*names: str) -> "list[wr.MediaBrowser]":
    """Build one panel per kind of picture."""
    return [wr.MediaBrowser(title=name, media_keys=[f"figures/{name}"]) for name in names]


def column(key: str) -> str:
    """Return the name of a config key in W&B's table of runs, where subkeys are below `<top key>.value`."""
    top, *below = key.split(".")
    return f"config:{'.'.join([top, 'value', *below])}"


if __name__ == "__main__":
    run_as_command(save, USAGE)
