"""The part of a page that shows which settings differ from those of the experiment."""

import yaml

from vae_exp.config.defaults import Defaults, defaults_of
from vae_exp.results.jobs import Job
from vae_exp.results.report.page import Table
from vae_exp.results.settings import GROUPS, IRRELEVANT, Settings, differing, settings_of, written

MISSING = "–"
"""The value of a key that the config does not have."""


def experiment_of(jobs: list[Job]) -> str | None:
    """Return the name of the experiment of the jobs, "" if they have different ones, None if they have none."""
    names = {job.overrides.get("experiment") for job in jobs}
    return names.pop() if len(names) == 1 else ""


def source(jobs: list[Job]) -> str:
    """Say what the experiment of the jobs is and which paper it is from, as far as its yaml says it."""
    experiment = experiment_of(jobs)
    defaults = defaults_of(experiment) if experiment else None
    return f"{experiment}: {defaults.source}" if defaults and defaults.source else ""


def changes(jobs: list[Job]) -> Table | None:
    """Make the table of the settings that are the same for all jobs and differ from those of their experiment.

    Returns:
        The table, which has no rows if nothing differs; None if the defaults are not known, because the experiment is
        not one of ours or the jobs have different ones.
    """
    experiment = experiment_of(jobs)
    defaults = defaults_of(experiment)
    own = [settings_of(job.path, job.results, job.overrides) for job in jobs]
    own = [settings for settings in own if "samples" in settings and "dataset" in settings]
    if defaults is None or not own:
        return None
    name = f"the experiment {experiment}" if experiment else "a run without overrides"
    theirs = _settings(defaults)
    typed = {key for job in jobs for key in job.overrides if not key.startswith(IRRELEVANT)}
    # a typed key of another part, such as network.channels, differs too, though the choice of the part says most of it
    found = {*differing([theirs, *own]), *(key for key in typed if key not in theirs)}
    keys = dict.fromkeys(key for settings in [*own, theirs] for key in settings if key in found)
    shared = [key for key in keys if len({settings.get(key) for settings in own}) == 1]
    rows = [
        [key, own[0].get(key, MISSING), theirs.get(key, MISSING)]
        for key in shared
        if (key not in defaults.derived or key in typed) and not _equal(own[0].get(key), theirs.get(key))
    ]
    if not rows:
        return Table("Settings", [], [], f"Every setting has the value that it has in {name}.")
    return Table("Settings", ["setting", "here", f"in {name}"], rows, "All other settings are as in the last column.")


def _equal(one: str | None, other: str | None) -> bool:
    """Tell whether two values are the same, also if one is a whole number: a yaml may have 0 where a run has 0.0."""
    return None not in (one, other) and yaml.safe_load(str(one)) == yaml.safe_load(str(other))


def _settings(defaults: Defaults) -> Settings:
    choices = {group: str(defaults.choices[group]) for group in GROUPS if defaults.choices.get(group) is not None}
    return choices | {key: written(value) for key, value in defaults.values.items() if key not in choices}
