"""The yamls of conf/."""

from pathlib import Path

from vae_exp.config.paths import CONFIG_DIR

GROUPS = {str(path.parent.relative_to(CONFIG_DIR)) for path in CONFIG_DIR.rglob("*/*.yaml")}

SOURCES = {
    "arrays": ["dataset.source.path={data}/images.npz"],
    "folder": ["dataset.source.path={data}/images", "paths.cache={data}/cache"],
}
"""The overrides that name the files of a data set of the user's own, by the name of its yaml."""


def choices(group: str) -> list[str]:
    """List the names of a group's yamls."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def sources(choice: str, data: Path) -> list[str]:
    """The overrides that a yaml needs beside it; `data` is the folder of the fixture `small_data`."""
    return [override.format(data=data) for override in SOURCES.get(choice, [])]
