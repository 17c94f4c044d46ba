"""Estimate the memory that training a model needs, before any of it is allocated."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from vae_exp.architecture import Model
from vae_exp.config.assembly import build_architecture, build_data
from vae_exp.config.flatten import flat
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.errors import ConfigError, RunError, UserError
from vae_exp.foreign import PartError
from vae_exp.likelihood import unvalidated

VALUES_PER_WEIGHT = 3
"""Values stored per weight: the weight, its gradient, and at least one value of the optimizer's state."""

KEYS_OF_WEIGHTS = ("architecture.", "network.", "prior.", "posterior.")
KEYS_OF_BATCH = (*KEYS_OF_WEIGHTS, "objective.", "dataset.batch_size")
MEMORY_ADVICE = "Smaller values of dataset.batch_size, objective.samples, architecture or network need less"


def check_memory(config: DictConfig, objects: Objects = NO_OBJECTS, memory: float | None = None) -> None:
    """Refuse sizes for which training cannot fit into memory.

    The model is built, and its loss is evaluated on a batch, on PyTorch's device `meta`, where tensors have sizes but
    no values. The estimate counts only what training certainly needs: the weights, their gradients, the optimizer's
    state, and what the loss keeps of the batch for its gradient. It is compared with all the memory of this machine, or
    of its GPU.

    Args:
        config: The composed config.
        memory: The bytes of memory that there are; by default those of this machine.
        objects: Built parts that the config stands for.

    Raises:
        ConfigError: The estimate exceeds the memory. The message names the largest size in the config.
    """
    memory = _memory() if memory is None else memory
    try:
        weights, batch = needed(config, objects)
    except PartError:  # a user's own part may need values, which `meta` does not have
        return
    except UserError:
        raise
    except Exception as error:
        # here too; if memory is short, training reports it
        if "overflow" not in str(error):
            return
        weights = batch = float("inf")
    if memory is not None and weights + batch > memory:
        key, value = _largest(config, KEYS_OF_WEIGHTS if weights >= batch else KEYS_OF_BATCH)
        raise ConfigError(
            f"{key}={value}: training needs about {_bytes(weights + batch)} of memory ({_bytes(weights)} for the "
            f"weights, {_bytes(batch)} for a batch), and there are {_bytes(memory)}"
        )


def needed(config: DictConfig, objects: Objects = NO_OBJECTS) -> tuple[float, float]:
    """Estimate the bytes that training needs for the weights and for a batch."""
    with torch.device("meta"), unvalidated():
        data = build_data(config, objects=objects)
        model = build_architecture(config, data, objects=objects)
        weights = VALUES_PER_WEIGHT * sum(parameter.nbytes for parameter in model.parameters())
        try:
            return weights, _kept(model, min(data.batch_size, config.samples))
        except UserError:
            raise
        except Exception as error:  # the loss has too many values, or it needs some, as a coupling layer does
            return weights, float("inf") if "overflow" in str(error) else 0.0


def _kept(model: Model, images: int) -> int:
    """Count the bytes that the loss keeps for its gradient. Without an encoder, count those of the images' latents."""
    if model.e_step is not None:  # it needs values, which `meta` does not have
        model.e_step.begin(images)
        return sum(buffer.nbytes for buffer in model.buffers())
    of_parameters = {id(parameter.untyped_storage()) for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()  # views share one
        if id(storage) not in of_parameters:
            kept[id(storage)] = storage
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        model.terms(torch.empty(images, *model.shape), torch.zeros(images, dtype=torch.int64))
    return sum(storage.nbytes() for storage in kept.values())


def _memory() -> float | None:
    """Return the bytes of memory of this machine, or of its GPU if that has more; None if they are unknown."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    gpus = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
    return float(max([machine, *gpus]))


def _largest(config: DictConfig, prefixes: tuple[str, ...]) -> tuple[str, Any]:
    """Return the key with the largest whole number, and its value."""
    sizes = {key: value for key, value in flat(config).items() if key.startswith(prefixes)}
    return max(sizes.items(), key=lambda item: max(_whole_numbers(item[1]), default=0))


def _whole_numbers(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if isinstance(number, int)]


def _bytes(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count < float("inf") else "more than 2⁶³ bytes"


@contextmanager
def readable_shortage() -> Iterator[None]:
    """Turn an out-of-memory error into a message that names the keys whose smaller values need less memory.

    Raises:
        RunError: There is not enough memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise RunError(f"Out of memory: {str(error).splitlines()[0]}. {MEMORY_ADVICE}") from error
