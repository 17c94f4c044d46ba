"""The name of a device."""

import platform

import torch


def device_name(device: torch.device) -> str:
    """Return the name of a device for the results, such as `cpu (x86_64)`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"
