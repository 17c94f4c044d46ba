"""Export small models to ONNX, and hold ONNX Runtime against PyTorch.

python scripts/onnx_pairs.py        three minutes; needs the extra export; fails if a difference is above 1e-5

The models are every architecture with every network, and a VAE with every likelihood, prior and posterior.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from hydra import compose, initialize_config_dir

from vae_exp.architecture import Model
from vae_exp.config.assembly import build_architecture, build_data
from vae_exp.config.objects import CHOICE
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.dataset import Info
from vae_exp.errors import ConfigError
from vae_exp.results.export.formats import write_onnx
from vae_exp.results.export.functions import functions_of

INFO = Info((1, 28, 28), ("a", "b", "c"))
SMALL = {
    "mlp": ["network.hidden_sizes=[8]"],
    "conv": ["network.channels=[4,6]", "network.strides=[1,2]"],
    "resnet": ["network.channels=2", "network.max_channels=4", "network.groups=2", "network.hidden_size=8"],
    "stacked": ["architecture.sizes=[5,3]"],
    "sylvester": ["posterior.kind=householder"],  # ONNX has no QR decomposition
}


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml") if path.stem != CHOICE)


def cases() -> Iterator[list[str]]:
    """Yield the parts of each model, as overrides."""
    for network in choices("network"):
        for architecture in choices("architecture"):
            sizes = SMALL.get(architecture, ["architecture.latent_dim=3"])
            yield [f"architecture={architecture}", f"network={network}", *SMALL[network], *sizes]
    for group in ("likelihood", "prior", "posterior"):
        for part in choices(group):
            small = ["architecture.latent_dim=3", *SMALL["mlp"], *SMALL.get(part, [])]
            yield [f"{group}={part}", *small]


def model(overrides: list[str]) -> Model:
    """Weights far from zero, so that no layer can be left out."""
    config = compose("config", overrides)
    built = build_architecture(config, build_data(config, INFO))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in built.parameters():
            weight.uniform_(-0.5, 0.5)
    return built.eval().requires_grad_(False)


def difference(exported: Model) -> float:
    with TemporaryDirectory() as folder:
        return max(write_onnx(functions_of(exported), exported, Path(folder), {}).values())


if __name__ == "__main__":
    differences = []
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        for overrides in cases():
            name = " ".join(word for word in overrides if "." not in word)
            try:
                found = difference(model(overrides))
            except ConfigError as error:  # not every network goes with every architecture
                print(f"{name:40} {error}")
                continue
            differences.append(found)
            print(f"{name:40} {found:.1e}", flush=True)
    print(f"{len(differences)} models, largest difference: {max(differences):.1e}")
    sys.exit(max(differences) > 1e-5)
