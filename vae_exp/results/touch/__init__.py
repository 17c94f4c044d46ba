"""Write `model.html`: one page in which the model of a run, or the models of a sweep, can be touched.

The page has the weights, and computes encoder and decoder in the browser. It needs no network, account or server.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from vae_exp.errors import ConfigError, RunError
from vae_exp.results.files import write_atomically
from vae_exp.results.jobs import Job, groups, holds_a_run, job_directories, read_jobs, varied_keys
from vae_exp.results.run import Run
from vae_exp.results.run_directory import RunDirectory
from vae_exp.results.touch.content import content_of
from vae_exp.results.touch.examples import Examples
from vae_exp.results.touch.page import html
from vae_exp.results.touch.program import UnsuitableModel

log = logging.getLogger(__name__)

MOST_MODELS = 6
"""The models of a sweep that stand beside each other."""


MOST_WEIGHTS = 10_000_000
"""The weights of a model whose page is written without being asked for. The page has some 27 MB then."""

Load = Callable[[Path], Run]
"""Loads a run from its directory."""


def write_touch(path: Path, load: Load, output: Path) -> Path:
    """Write the page of a run or of a sweep.

    A sweep's page has a model for every setting, that of the first completed job: seeds do not stand beside each other.

    Args:
        path: The directory of a run or a sweep.
        load: Loads each run, with the checkpoint that is wanted.
        output: The file.

    Returns:
        The file.

    Raises:
        RunError: A run cannot be loaded, or the sweep has no completed job.
        ConfigError: A model cannot be touched, the images differ in size, or the file cannot be written.
    """
    if output.is_dir():
        raise ConfigError(f"output={output}: is a folder; the name of a file is needed")
    is_sweep = not holds_a_run(path) and bool(job_directories(path))
    runs = _runs_of_sweep(path, load) if is_sweep else {"": load(path)}
    first = next(iter(runs.values()))
    examples = Examples.of(first)
    for name, run in runs.items():
        if run.model.shape != first.model.shape:
            raise ConfigError(
                f"run={path}: the images of {name} are {tuple(run.model.shape)} and those of {next(iter(runs))} "
                f"{tuple(first.model.shape)}: they cannot stand beside each other. Name one of the jobs"
            )
    title = RunDirectory(path).name
    models = [content_of(run, name, examples) for name, run in runs.items()]
    page = html(title, {"title": title, "images": examples.as_data(), "models": models})
    try:
        write_atomically(output, page)
    except OSError as error:
        raise ConfigError(f"output={output}: cannot be written: {error}") from error
    return output


def try_touch(path: Path, load: Load, wanted: bool | Literal["auto"]) -> None:
    """Write the page of a run into its directory, in place of that of an earlier, shorter run.

    Log a warning instead of raising an error.

    Args:
        path: The run directory.
        load: Loads the run.
        wanted: Whether there is to be a page. `auto`: if the model suits one, has an encoder and at most `MOST_WEIGHTS`
            weights; otherwise there is none, without a warning.
    """
    page = RunDirectory(path).model_page
    try:
        page.unlink(missing_ok=True)
        if wanted:
            write_touch(path, load if wanted is True else lambda each: _quick(load(each)), page)
    except Exception as error:
        expected = wanted == "auto" and isinstance(error, UnsuitableModel)
        level = logging.DEBUG if expected else logging.WARNING
        log.log(level, "The page of the model of %s could not be written: %s", path, error)


def _quick(run: Run) -> Run:
    """Return the run if its page is written quickly and is small enough to be shown in every report.

    Raises:
        UnsuitableModel: It is not.
    """
    if not run.model.amortized:
        raise UnsuitableModel(f"run={run.path}: has no encoder, and a search for codes takes long; touch=true does it")
    count = sum(parameter.numel() for parameter in run.model.parameters())
    if count > MOST_WEIGHTS:
        raise UnsuitableModel(f"run={run.path}: has {count:,} weights; touch=true writes a page of any size")
    return run


def _runs_of_sweep(path: Path, load: Load) -> dict[str, Run]:
    """Load the first completed job of each setting, by what distinguishes it from the others."""
    jobs = read_jobs(path)
    chosen = [group[0] for group in groups(jobs).values()]
    if not chosen:
        raise RunError(f"run={path}: no job of this sweep is completed")
    if len(chosen) > MOST_MODELS:
        log.warning("The page has the first %d of the sweep's %d settings", MOST_MODELS, len(chosen))
    keys = [key for key in varied_keys(jobs) if key != "seed"]
    return {_name(job, keys): load(job.path) for job in chosen[:MOST_MODELS]}


def _name(job: Job, keys: list[str]) -> str:
    short = {"latent_dim": "N_z"}
    named = [(key.rpartition(".")[2], job.value(key)) for key in keys]
    return ", ".join(f"{short.get(key, key)} = {value}" for key, value in named) or f"job {job.number}"
