"""The folders of a sweep's jobs, and what was drawn for each of them."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from vae_exp.config.replay import check_words
from vae_exp.config.trust import Trust
from vae_exp.errors import ConfigError
from vae_exp.results.files import read_json, readable

Values = dict[str, str]
"""What a job has of the keys that vary, by key, as it is typed."""


def check_apart(jobs: Mapping[int, Path], sweep: Path, subdir: str) -> None:
    """Let every job have a folder of its own, inside the sweep's and not inside another job's.

    Args:
        jobs: Each job's folder, by its number.
        sweep: The sweep's folder.
        subdir: `hydra.sweep.subdir`, as it was typed.

    Raises:
        ConfigError: Two jobs would share a folder, or one is not in the sweep's.
    """
    owner: dict[Path, int] = {}
    for number, path in jobs.items():
        folder = Path(os.path.normpath(path))
        if Path(os.path.normpath(sweep)) not in folder.parents:
            raise ConfigError(f"hydra.sweep.subdir={subdir}: {folder} is no folder in {sweep}")
        if folder in owner:
            raise ConfigError(shared(subdir, f"jobs {owner[folder]} and {number} would share {folder}"))
        owner[folder] = number
    for folder, number in owner.items():
        for outer in owner.keys() & set(folder.parents):
            raise ConfigError(shared(subdir, f"job {number} would be inside job {owner[outer]}, in {folder}"))


def shared(subdir: str, fault: str) -> str:
    """The message for folders that are not the jobs' own."""
    return f"hydra.sweep.subdir={subdir}: {fault}. Add the job's number: hydra.sweep.subdir={subdir}_${{hydra.job.num}}"


def read_values(path: Path, keys: Collection[str], trust: Trust) -> list[Values]:
    """What every job of a sweep has of the keys that vary.

    Args:
        path: The file.
        keys: The keys.
        trust: What the caller lets the values name.

    Raises:
        RunError: The file is missing, cut off, or of other keys, or a value does more than to be one.
    """
    jobs = read_json(path, list)
    with readable(path):
        if not all(isinstance(job, dict) and job.keys() == set(keys) for job in jobs):
            raise ValueError(f"every job should have {', '.join(keys) or 'nothing'}")
        if not all(isinstance(value, str) for job in jobs for value in job.values()):
            raise ValueError("every value should be text")
    check_words([f"{key}={value}" for job in jobs for key, value in job.items()], trust, str(path))
    return jobs
