"""Export a small model of every architecture with every network to ONNX, and hold ONNX Runtime against PyTorch.

python scripts/onnx_pairs.py        two minutes; needs the extra export; fails if a difference is above 1e-5
"""

import sys
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
}


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml") if path.stem != CHOICE)


def model(architecture: str, network: str) -> Model:
    """Weights far from zero, so that no layer can be left out."""
    small = [*SMALL[network], *SMALL.get(architecture, ["architecture.latent_dim=3"])]
    config = compose("config", [f"architecture={architecture}", f"network={network}", *small])
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
        for network in choices("network"):
            for architecture in choices("architecture"):
                try:
                    found = difference(model(architecture, network))
                except ConfigError as error:  # not every network goes with every architecture
                    print(f"{architecture:8} {network:8} {error}")
                    continue
                differences.append(found)
                print(f"{architecture:8} {network:8} {found:.1e}", flush=True)
    print(f"{len(differences)} pairs, largest difference: {max(differences):.1e}")
    sys.exit(max(differences) > 1e-5)
