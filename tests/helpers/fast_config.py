"""Remember what is computed again for every run, mostly by Hydra and OmegaConf: half of the time of a small run.

Only for the configs of this package: the files of a test may change. What raises an error is not remembered.
"""

import copy
import pickle
import re
from collections import defaultdict
from functools import cache, lru_cache
from typing import Any

import omegaconf
import yaml
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from lightning_fabric.utilities import registry
from omegaconf import DictConfig, ListConfig, OmegaConf, nodes
from omegaconf.base import Metadata, Node

from vae_exp.config import memory
from vae_exp.config.objects import NO_OBJECTS, Objects
from vae_exp.config.paths import CONFIG_DIR

OURS = ("structured://", "pkg://hydra", f"file://{CONFIG_DIR}")
CREATE = config_loader_impl.create_defaults_list
COMPOSE = ConfigLoaderImpl._compose_config_from_defaults_list
LOAD = ConfigRepository.load_config
COPIED = (
    *(DictConfig, ListConfig),
    *(nodes.AnyNode, nodes.StringNode, nodes.IntegerNode, nodes.FloatNode, nodes.BooleanNode),
)
"""Classes of nodes that are copied in our way: by their attributes, not by their constructors."""
COPIES: dict[type[Node], Any] = {kind: kind.__deepcopy__ for kind in COPIED}
NEEDED = memory.needed
OF_MEMORY = ("dataset", "objective", "prior", "posterior", "architecture", "head", "likelihood", "network", "samples")
"""The keys on which the estimate of the memory depends."""
LISTS: dict[Any, DefaultsList] = {}
CONFIGS: dict[Any, bytes] = {}
FILES: dict[Any, bytes] = {}
BYTES: dict[str, tuple[float, float]] = {}


class Dumper(yaml.CSafeDumper):
    """OmegaConf's with libyaml: the program writes several configs for every run."""


Dumper.add_representer(str, omegaconf._utils.OmegaConfDumper.str_representer)


def remember() -> None:
    """Replace the functions, in this process."""
    parse = lru_cache(1000)(omegaconf.base.parse)  # a parse tree is only read
    for module in (omegaconf.base, omegaconf._utils, omegaconf.resolvers.oc):
        module.parse = parse
    config_loader_impl.create_defaults_list = _create
    ConfigLoaderImpl._compose_config_from_defaults_list = _compose
    ConfigRepository.load_config = _load
    omegaconf.omegaconf.get_omega_conf_dumper = lambda: Dumper
    registry.entry_points = cache(registry.entry_points)  # Lightning reads those of all packages for every run
    for kind in COPIED:
        kind.__deepcopy__ = _copy
    Metadata.__deepcopy__ = _copy_metadata
    memory.needed = _needed


def _is_ours(repo: Any) -> bool:
    return all(source.full_path().startswith(OURS) for source in repo.get_sources())


def _create(repo: Any, config_name: Any, overrides_list: Any, prepend_hydra: bool, skip_missing: bool) -> DefaultsList:
    """The choice of files depends on the overrides of groups alone. Tests change which groups Hydra itself has."""
    arguments = {"config_name": config_name, "prepend_hydra": prepend_hydra, "skip_missing": skip_missing}
    values = Overrides(repo=repo, overrides_list=overrides_list).config_overrides
    groups = [override.input_line for override in overrides_list if not any(override is value for value in values)]
    if not _is_ours(repo) or any(word.lstrip("+~").startswith("hydra/") for word in groups):
        return CREATE(repo=repo, overrides_list=overrides_list, **arguments)
    key = (*arguments.values(), *groups)
    if key not in LISTS:
        LISTS[key] = CREATE(repo=repo, overrides_list=overrides_list, **arguments)
    known = LISTS[key]
    return DefaultsList(list(known.defaults), known.defaults_tree, values, known.overrides)


def _compose(loader: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> Any:
    if not _is_ours(repo):
        return COMPOSE(loader, defaults, repo)
    key = tuple((each.config_path, each.package, each.is_self, each.parent) for each in defaults)
    if key not in CONFIGS:
        CONFIGS[key] = pickle.dumps(COMPOSE(loader, defaults, repo))
    return pickle.loads(CONFIGS[key])


def _load(repo: ConfigRepository, config_path: str) -> Any:
    """Tests take launchers away from Hydra, and a file that is not there must not be remembered as missing."""
    if not _is_ours(repo) or config_path.startswith("hydra/launcher"):
        return LOAD(repo, config_path)
    key = (config_path, *(source.full_path() for source in repo.get_sources()))
    if key not in FILES:
        FILES[key] = pickle.dumps(LOAD(repo, config_path))
    return pickle.loads(FILES[key])


def _needed(config: DictConfig, objects: Objects = NO_OBJECTS) -> tuple[float, float]:
    """The parts and the files of a test may change under the same names. MNIST and our own parts do not."""
    key = repr(OmegaConf.to_container(OmegaConf.masked_copy(config, list(OF_MEMORY))))
    targets = re.findall("'_target_': '([^']*)'", key)
    is_known = "vae_exp.dataset.mnist.MNIST" in targets and all(name.startswith("vae_exp.") for name in targets)
    if objects is not NO_OBJECTS or not is_known:
        return NEEDED(config, objects)
    if key not in BYTES:
        BYTES[key] = NEEDED(config, objects)
    return BYTES[key]


def _copy(node: Any, memo: dict[int, Any]) -> Any:
    """Copy a node of a config with everything below it. Half of the time of a composition goes into copies."""
    copied = object.__new__(type(node))
    state = copied.__dict__
    state.update(node.__dict__, _metadata=_copy_metadata(node._metadata, memo), _flags_cache=None)
    content = state.get("_content")
    if isinstance(content, dict):
        state["_content"] = {key: _copy_below(copied, child, memo) for key, child in content.items()}
    elif isinstance(content, list):
        state["_content"] = [_copy_below(copied, child, memo) for child in content]
    return copied


def _copy_below(parent: Any, child: Any, memo: dict[int, Any]) -> Any:
    copied = copy.deepcopy(child, memo)
    copied.__dict__["_parent"] = parent
    return copied


def _copy_metadata(metadata: Metadata, memo: dict[int, Any]) -> Metadata:
    copied = object.__new__(type(metadata))
    cache = metadata.resolver_cache
    copied.__dict__.update(
        metadata.__dict__,
        flags=dict(metadata.flags or {}),
        resolver_cache=copy.deepcopy(cache, memo) if cache else defaultdict(dict),
    )
    return copied
