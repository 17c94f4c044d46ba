"""Refuse overrides that Hydra accepts but that have no meaning here."""

from omegaconf import DictConfig, OmegaConf

from vae_exp.errors import ConfigError

ONE_PART = ("architecture", "dataset", "head", "likelihood", "logger", "network", "objective", "optimizer", "trainer")
"""Groups of which exactly one choice is built. Hydra would merge the yamls of several choices."""


def check_overrides(config: DictConfig, words: list[str]) -> None:
    """Refuse a list of choices for a group that builds one part, and the deletion of a part's value.

    For a deleted value the constructor would use its default, and neither the record nor the results would contain it.

    Args:
        config: The composed config.
        words: The overrides that it was composed with.

    Raises:
        ConfigError: There is such a list or deletion.
    """
    for word in words:
        key, _, value = word.partition("=")
        if word.startswith("~"):
            _check_deleted(config, key[1:])
        elif _is_of_one_part(key.lstrip("+")) and value.lstrip().startswith("["):
            raise ConfigError(f"{word}: is a list; one choice is needed: {key}=…")


def key_of(override: str) -> str:
    """Return the key that an override changes."""
    return override.split("=")[0].lstrip("+~")


def _is_of_one_part(key: str) -> bool:
    group = key.partition("@")[0]
    return group.partition("/")[0] in ONE_PART


def _check_deleted(config: DictConfig, key: str) -> None:
    parent, _, name = key.rpartition(".")
    part = OmegaConf.select(config, parent) if parent else config
    if isinstance(part, DictConfig) and "_target_" in part and name not in list(part):
        raise ConfigError(f"{key}: a value is needed: leave ~{key} out, or give one ({key}=…)")
