"""Read the checkpoint of a run to resume, and decide whether anything is left to train."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_exp.config.stored import printable
from vae_exp.errors import RunError
from vae_exp.results.checkpoint import STATE, check_same_config, read_checkpoint
from vae_exp.results.metrics import history
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.callbacks import foreign_callbacks


def checkpoint_to_resume(config: DictConfig, directory: RunDirectory) -> dict[str, Any]:
    """Read the last checkpoint of a run that is to be resumed.

    Raises:
        RunError: A file of the run is damaged, the config differs from that of the run, or the run has already seen
            more samples than the budget.
    """
    history(directory.metrics)  # the resumed run keeps its rows, so they must be readable
    checkpoint = read_checkpoint(directory.last_checkpoint)
    check_same_config(checkpoint, config, directory.last_checkpoint)
    _check_cycles(config, OmegaConf.create(checkpoint[STATE]["config"]))
    seen = checkpoint[STATE]["samples_seen"]
    if seen > config.samples:
        raise RunError(f"samples={config.samples}: {directory.path} has already seen {seen}")
    return checkpoint


def _check_cycles(config: DictConfig, stored: DictConfig) -> None:
    beta = config.architecture.get("beta")
    if isinstance(beta, DictConfig) and "cycles" in beta and config.samples != stored.samples:
        raise RunError(
            f"samples={config.samples}: architecture.beta has {beta.cycles} cycles in the budget, so a resumed run "
            f"keeps its budget: samples={stored.samples}"
        )


def is_trained(checkpoint: dict[str, Any], config: DictConfig) -> bool:
    """Return whether nothing is left to train.

    Either the budget is spent, or a callback stopped the run and neither the budget nor the callbacks have changed.
    """
    state = checkpoint[STATE]
    if state.get("stopped_by") is None:
        return bool(state["samples_seen"] == config.samples)
    stored = OmegaConf.create(state["config"])
    return bool(stored.samples == config.samples) and foreign_callbacks(stored) == foreign_callbacks(config)


def why_it_is_trained(checkpoint: dict[str, Any]) -> str:
    """Explain why nothing is left to train, and how to train further."""
    state = checkpoint[STATE]
    if state.get("stopped_by") is None:
        return f"already has its {state['samples_seen']:,} samples: a larger samples=… trains further"
    return (
        f"was stopped after {state['samples_seen']:,} samples by {printable(state['stopped_by'])}. "
        "It trains further with another samples=… or with other callbacks (callbacks.<name>=null leaves one out)"
    )
