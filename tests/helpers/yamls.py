"""The yamls of conf/."""

from vae_exp.config.paths import CONFIG_DIR

GROUPS = {str(path.parent.relative_to(CONFIG_DIR)) for path in CONFIG_DIR.rglob("*/*.yaml")}


def choices(group: str) -> list[str]:
    """List the names of a group's yamls."""
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
