"""The help text. Hydra's own takes twice as long to make and also lists internal groups."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from vae_exp.cli.config_dir import config_dir_of, overrides_of
from vae_exp.config.objects import CHOICE

EXAMPLES = """\
vae_exp: experiments with autoencoders. Choose the parts, swap any value, sweep.

  python -m vae_exp +experiment=mnist_vae
  python -m vae_exp dataset=frey_face likelihood=gaussian architecture.latent_dim=10
  python -m vae_exp -m +experiment=mnist_vae architecture.latent_dim=2,5,20 'seed=range(3)'
  python -m vae_exp resume=outputs/mnist_vae/<date>_<time>
  python -m vae_exp -m sweep.resume=multirun/mnist_vae/<date>_<time>
  python -m vae_exp sample run=outputs/mnist_vae/<date>_<time> n=64
  python -m vae_exp encode run=outputs/mnist_vae/<date>_<time> split=test output=codes.npz
  python -m vae_exp export run=outputs/mnist_vae/<date>_<time> format=onnx
  python -m vae_exp touch run=outputs/mnist_vae/<date>_<time>
"""
FLAGS = """\
  -m, --multirun       one job for every combination of the values given: key=1,2,3 or key=range(3)
  --cfg job            print the config and do nothing;  --cfg job --resolve  with interpolations resolved
  --hydra-help         the flags and settings of Hydra
"""


def asks_for_help(arguments: list[str]) -> bool:
    """Tell whether the arguments ask for the help text."""
    return bool({"-h", "--help"} & set(arguments))


def usage(config_dir: Path, arguments: list[str]) -> str:
    """Return the help text, with the config that the other arguments compose.

    Raises:
        HydraException: The arguments do not compose a config.
    """
    with initialize_config_dir(str(config_dir), version_base="1.3"):
        config = compose("config", overrides=overrides_of(arguments))
    folders = [config_dir, *filter(None, [config_dir_of(arguments)])]
    parts = "\n".join(f"  {group + '=':26}{'  '.join(choices)}" for group, choices in _groups(folders).items())
    return (
        f"{EXAMPLES}\nParts (group=choice; +experiment= with a plus):\n{parts}\n\n"
        f"Values (key=value):\n{_indented(OmegaConf.to_yaml(config))}\n\nFlags:\n{FLAGS}"
    )


def _groups(folders: list[Path]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*/*.yaml")):
            if path.stem == CHOICE:  # only Python programs pass objects
                continue
            groups.setdefault(str(path.parent.relative_to(folder)), []).append(path.stem)
    return groups


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
