"""The part of a page that says how to make a run or a sweep again, and how to cite it."""

from typing import Any

from vae_exp.results.jobs import Job
from vae_exp.results.metrics import measure, standard_error, with_error
from vae_exp.results.report.changes import source
from vae_exp.results.report.page import Reproduction

PACKAGE = "version/vae_exp"


def reproduction(command: str, jobs: list[Job]) -> Reproduction | None:
    """Say how to make the jobs again; None if it is not known how they were started.

    Args:
        command: The shell command of the run or sweep.
        jobs: The run, or all jobs of the sweep.
    """
    if not command:
        return None
    versions = {
        name.removeprefix("version/"): _shared(jobs, name)
        for job in jobs
        for name in job.results
        if name.startswith("version/")
    }
    lines = [f"# {name} {value}" for name, value in versions.items() if value]
    commit = _shared(jobs, "git_revision")
    note = []
    if commit and "," not in commit and not commit.endswith("+"):
        lines.append(f"git checkout {commit}")
    elif commit:
        lines.append(f"# commit {commit}")
        note.append("A + behind a commit says that files were changed, so the commit alone may not give the same.")
    if objects := _shared(jobs, "objects"):
        note.append(
            f"The program that trained it passed objects from Python, which the command cannot name: {objects}."
        )
    lines.append(command)
    note.append(
        "The same command with the same versions, device and number of threads gives the same numbers. On another "
        "machine they differ by rounding."
    )
    return Reproduction("\n".join(lines), " ".join(note), citation(command, jobs), _bibtex(jobs), source(jobs))


def citation(command: str, jobs: list[Job]) -> str:
    """Return a sentence with what somebody needs to cite the result: the number, the command, the commit."""
    parts = [_result(jobs[0].results)] if len(jobs) == 1 else [f"{len(jobs)} runs"]
    commit, version, torch = (_shared(jobs, name) for name in ("git_revision", PACKAGE, "version/torch"))
    dates = sorted(str(job.results["date"])[:10] for job in jobs if job.results.get("date"))
    parts += [
        f"`{command}`",
        f"vae_exp {version}" if version else "",
        f"commit {commit}" if commit else "",
        f"PyTorch {torch}" if torch else "",
        f"on {device}" if (device := _shared(jobs, "device")) else "",
        dates[-1] if dates else "",
    ]
    return ", ".join(part for part in parts if part) + "."


def _result(results: dict[str, Any]) -> str:
    name, _ = measure(results, "test")
    if results.get(name) is None:
        return ""
    images = results.get("test/images")
    over = f" (standard error over {images:,} images)" if images and standard_error(results, name) is not None else ""
    unit = "" if name == "test/error" else " nats per image"
    value = with_error(results, name)
    return (
        f"{name} {value if isinstance(value, str) else f'{value:.4g}'}{unit}{over} after {results['samples']:,} samples"
    )


def _bibtex(jobs: list[Job]) -> str:
    version, commit = _shared(jobs, PACKAGE), _shared(jobs, "git_revision")
    years = sorted(str(job.results["date"])[:4] for job in jobs if job.results.get("date"))
    entries = {
        "title": "{vae\\_exp}: experiments with autoencoders",
        "author": "{The vae\\_exp developers}",
        "year": years[-1] if years else None,
        "version": version,
        "note": commit and f"Commit {commit}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in entries.items() if value]
    return "\n".join(["@software{vae_exp,", *lines, "}"])


def _shared(jobs: list[Job], name: str) -> str:
    """Return the values of the jobs under a name, each once."""
    return ", ".join(sorted({str(job.results[name]) for job in jobs if job.results.get(name)}))
