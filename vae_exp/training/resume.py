"""The checkpoint that a resumed run continues from."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_exp.config.stored import printable
from vae_exp.errors import RunError
from vae_exp.results.checkpoint import STATE, check_same_config, read_checkpoint
from vae_exp.results.metrics import history
from vae_exp.results.run_directory import RunDirectory
from vae_exp.training.callbacks import others


def checkpoint_to_resume(config: DictConfig, directory: RunDirectory) -> dict[str, Any]:
    """Read the last checkpoint of a run that is resumed.

    Raises:
        RunError: A file of the run is damaged, the config is another one, or the budget is smaller than before.
    """
    history(directory.metrics)  # its rows are kept, so they must be readable
    checkpoint = read_checkpoint(directory.last_checkpoint)
    check_same_config(checkpoint, config, directory.last_checkpoint)
    seen = checkpoint[STATE]["samples_seen"]
    if seen > config.samples:
        raise RunError(f"samples={config.samples}: {directory.path} has seen {seen} already")
    return checkpoint


def is_trained(checkpoint: dict[str, Any], config: DictConfig) -> bool:
    """Whether nothing is left to train: the budget is spent, or a callback stopped the run and is still there."""
    state = checkpoint[STATE]
    if state.get("stopped_by") is None:
        return bool(state["samples_seen"] == config.samples)
    began = OmegaConf.create(state["config"])
    return bool(began.samples == config.samples) and others(began) == others(config)


def why_it_is_trained(checkpoint: dict[str, Any]) -> str:
    """Explain why nothing is left to train, and how to train further."""
    state = checkpoint[STATE]
    if state.get("stopped_by") is None:
        return f"has its {state['samples_seen']:,} samples already: samples=… goes on further"
    return (
        f"was stopped after {state['samples_seen']:,} samples by {printable(state['stopped_by'])}. "
        "More samples=… go on further, as do other callbacks (callbacks.<name>=null leaves one out)"
    )
