"""What other libraries keep private and this one uses: a test per use, which fails first if an upgrade moves it."""

import ast
import copy
import json
import os
import re
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import fast_config
import pytest
import torch
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import OmegaConf
from omegaconf._utils import get_omega_conf_dumper
from omegaconf.base import Metadata
from torch import nn
from torch._inductor.runtime.cache_dir_utils import cache_dir, default_cache_dir
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter
from yamls import composed

from vae_exp.cli.config_dir import flags_first
from vae_exp.config.memory import readable_shortage
from vae_exp.config.stored import LOADER, Damaged, parse_yaml
from vae_exp.errors import ConfigError, RunError
from vae_exp.likelihood import unvalidated
from vae_exp.likelihood.continuous_bernoulli import ContinuousBernoulliDensity
from vae_exp.network.linear import by_onednn
from vae_exp.prior.normal import DiagonalNormal
from vae_exp.results.export.functions import Function
from vae_exp.results.touch.translate import program_of
from vae_exp.training import loggers
from vae_exp.training.checkpoint_io import check_states
from vae_exp.training.engine import compiled
from vae_exp.training.loggers.tensorboard import TensorBoard

ROOT = Path(__file__).parents[2]
USED = {
    "scripts/benchmark_peers.py": {"_exit"},  # Python documents os._exit
    "scripts/wandb_workspace.py": {"_to_model"},
    "vae_exp/api/process.py": {"_handlerList", "_handlers"},
    "vae_exp/cli/config_dir.py": {"hydra._internal.utils.get_args_parser"},
    "vae_exp/config/stored.py": {"omegaconf._utils.get_yaml_loader"},
    "vae_exp/likelihood/base.py": {"_validate_args", "_validate_sample"},
    "vae_exp/network/linear.py": {"_linear_pointwise"},
    "vae_exp/results/touch/translate.py": {"_is_compiling_flag"},
    "vae_exp/training/engine/compiled.py": {"torch._inductor.runtime.cache_dir_utils.default_cache_dir"},
    # tests/training/engine/test_compiled.py holds its use
    "vae_exp/training/engine/products.py": {"torch._inductor.custom_graph_pass.CustomGraphPass"},
}
"""Private names of other libraries by the only file that uses them."""


@contextmanager
def uses(private: str, user: str) -> Iterator[None]:
    """Say what an upgrade may have moved if the test fails."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"{user} uses {private}: has an upgrade moved or changed it?")
        raise


@uses("hydra/_internal/utils.py: get_args_parser", "vae_exp/cli/config_dir.py")
def test_hydras_parser_knows_its_flags():
    assert flags_first(["seed=3", "-m", "--config-dir", "mine"]) == ["-m", "--config-dir", "mine", "seed=3"]
    with pytest.raises(ConfigError, match="--sed=3: no such flag"):
        flags_first(["--sed=3"])


@uses("omegaconf/_utils.py: get_yaml_loader", "vae_exp/config/stored.py")
def test_omegaconfs_loader_has_its_rules_with_the_fast_parser():
    found = parse_yaml("{number: 1e3, date: 2026-01-02, text: '1e3'}", Path("config.yaml"))
    assert found == {"number": 1000.0, "date": "2026-01-02", "text": "1e3"}
    with pytest.raises(Damaged, match="duplicate key"):
        parse_yaml("a: 1\na: 2", Path("config.yaml"))
    assert "CSafeLoader" in {kind.__name__ for kind in LOADER.__mro__}


@uses("torch.distributions.Distribution: _validate_args, _validate_sample", "vae_exp/likelihood/base.py")
@pytest.mark.parametrize(
    ("make", "outside"),
    [
        (lambda: ContinuousBernoulliDensity(torch.zeros(2)), torch.tensor([0.5, 1.5])),
        (lambda: DiagonalNormal(torch.zeros(2), torch.zeros(2)), torch.tensor([0.5, torch.nan])),
    ],
)
def test_distributions_of_our_own_are_checked_as_pytorchs_are(make, outside):
    with pytest.raises(ValueError, match="support"):
        make().log_prob(outside)
    with unvalidated():
        assert make().log_prob(outside).numel()


@uses("torch.ops.mkldnn._linear_pointwise", "vae_exp/network/linear.py")
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
def test_onednns_operator_takes_matrices_with_any_strides():
    x, weight, bias = torch.randn(7, 5).t(), torch.randn(7, 3).t(), torch.randn(3)
    for row in (bias, None):
        torch.testing.assert_close(by_onednn(x, weight, row), F.linear(x, weight, row))


@uses("torch.compiler._is_compiling_flag", "vae_exp/results/touch/translate.py")
def test_a_model_reads_no_values_while_it_is_traced():
    class Checked(nn.Module):
        def forward(self, x):
            if not torch.compiler.is_compiling() and x.min() < 0:
                raise ValueError
            return (x.exp(),)

    program = program_of(Function("decoder", Checked(), {"x": torch.ones(1, 3)}, {"out": (3,)}), ["out"])
    assert [step.operation for step in program.steps] == ["exp"]
    assert not torch.compiler.is_compiling()


@uses("torch/_inductor/runtime/cache_dir_utils.py: default_cache_dir", "vae_exp/training/engine/compiled.py")
def test_compiled_programs_are_kept_unless_the_user_chose_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(compiled.CACHE, default_cache_dir())
    compiled.keep_programs(tmp_path / "programs")
    assert os.environ[compiled.CACHE] == cache_dir() == str(tmp_path / "programs")
    compiled.keep_programs(tmp_path / "others")
    assert os.environ[compiled.CACHE] == str(tmp_path / "programs")
    monkeypatch.delenv(compiled.CACHE)
    (tmp_path / "file").touch()
    compiled.keep_programs(tmp_path / "file" / "programs")
    assert compiled.CACHE not in os.environ


@uses("pytorch_lightning.utilities.rank_zero_only: rank", "vae_exp/training/loggers/__init__.py")
def test_lightning_writes_what_the_process_of_rank_0_logs(tmp_path, monkeypatch):
    logger = TensorBoard(tmp_path, {})
    assert isinstance(logger.experiment, SummaryWriter)
    logger.finalize("success")
    monkeypatch.setattr(loggers.rank_zero_only, "rank", 1)
    assert not isinstance(TensorBoard(tmp_path, {}).experiment, SummaryWriter)


@uses("wandb_workspaces.workspaces.Workspace: _to_model", "scripts/wandb_workspace.py")
@pytest.mark.skipif(find_spec("wandb_workspaces") is None, reason="the extra workspace is not installed")
@pytest.mark.filterwarnings("ignore:Pydantic V1 style `@validator`:pydantic.PydanticDeprecatedSince20")
def test_a_dashboard_can_be_had_without_an_account():
    script = runpy.run_path(str(ROOT / "scripts" / "wandb_workspace.py"))
    sent = json.loads(script["specification"](script["dashboard"]("team", "shelf", "Books")))
    assert sent["section"]["panelBankConfig"]["sections"]


@uses("the wording of Hydra's errors", "vae_exp/cli/explain.py")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1,2"], "seed=1,2: several values need a sweep (-m)"),
        (["sede=1"], "sede: no such key. Did you mean seed?"),
        (["~name"], "name: a value is needed: leave ~name out"),
        (["~sede"], "sede: no such key. Did you mean seed?"),
        (["architecture=3"], "architecture=3: a part cannot be 3"),
        (["-m", "--cfg", "job"], "Only one of --run, --multirun, --cfg"),
    ],
)
def test_hydras_messages_are_understood(run, words, message):
    outcome = run(*words)
    assert outcome.status == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err


@uses("the wording of torch.load's error for a class", "vae_exp/training/checkpoint_io.py")
def test_pytorch_names_the_class_that_a_checkpoint_may_not_hold():
    with pytest.raises(RunError, match="callbacks: mine saves a pathlib"):
        check_states({"callbacks": {"mine": Path("here")}})


@uses("the wording of PyTorch's error for a lack of memory", "vae_exp/config/memory.py")
def test_pytorch_says_that_memory_is_short():
    with pytest.raises(RunError, match="Out of memory"), readable_shortage():
        torch.empty(2**60, dtype=torch.uint8)


def names(tree: ast.AST) -> Iterator[str]:
    """Everything that is imported, with its module, and every attribute."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                yield name
            case ast.Import(names=imported):
                yield from (alias.name for alias in imported)
            case ast.ImportFrom(module=module, names=imported):
                yield from (f"{module}.{alias.name}" for alias in imported)
            case ast.Call(func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(value=name), *_]):
                yield name


def own(tree: ast.AST) -> Iterator[str]:
    """The names that a module gives to functions, classes, variables, and attributes of its classes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def test_nothing_else_is_private_to_another_library():
    files = [path for folder in ("vae_exp", "hydra_plugins", "scripts") for path in (ROOT / folder).rglob("*.py")]
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in files}
    ours = {name for tree in trees.values() for name in own(tree)}
    private = re.compile(r"(^|\.)_(?!_)")
    found = {path: {name for name in names(tree) if private.search(name)} - ours for path, tree in trees.items()}
    assert {path: used for path, used in found.items() if used} == USED


@pytest.mark.parametrize("words", [["architecture=m2", "seed=3"], ["+experiment=mnist_sdae"]], ids=str)
def test_what_the_tests_remember_of_hydra_is_what_it_composes(words, monkeypatch):
    """Also where another config with the same files was changed (tests/helpers/fast_config.py)."""
    first = composed(*words)
    first.samples = 1
    again = composed(*words, "name=other")
    monkeypatch.setattr(config_loader_impl, "create_defaults_list", fast_config.CREATE)
    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", fast_config.COMPOSE)
    assert again == composed(*words, "name=other") != first


def nodes_of(node):
    """Everything that a config holds, with what OmegaConf notes about each value."""
    state = node.__dict__
    yield type(node), state["_metadata"], {name for name in state if name != "_flags_cache"}
    content = state["_content"] if "_content" in state else state["_val"]
    if not isinstance(content, dict | list):
        yield content
        return
    for key, child in content.items() if isinstance(content, dict) else enumerate(content):
        assert child._parent is node
        yield key
        yield from nodes_of(child)


def test_the_tests_copy_a_config_as_omegaconf_does(monkeypatch):
    config = composed("architecture=m2", "seed=3")
    ours = copy.deepcopy(config)
    for kind, method in fast_config.COPIES.items():
        monkeypatch.setattr(kind, "__deepcopy__", method)
    monkeypatch.delattr(Metadata, "__deepcopy__")
    theirs = copy.deepcopy(config)
    assert [*nodes_of(ours)] == [*nodes_of(theirs)] == [*nodes_of(config)]
    ours.network.hidden_sizes[0] = 3
    assert [*nodes_of(config)] == [*nodes_of(theirs)]
    assert OmegaConf.is_readonly(ours) == OmegaConf.is_readonly(config)


@pytest.mark.parametrize("words", [["architecture=m2"], ["+experiment=mnist_sdae", "name='ü: → #1'"]], ids=str)
def test_the_tests_write_a_config_as_omegaconf_does(words, monkeypatch):
    config = composed(*words)
    ours = OmegaConf.to_yaml(config)
    monkeypatch.setattr("omegaconf.omegaconf.get_omega_conf_dumper", get_omega_conf_dumper)
    assert ours == OmegaConf.to_yaml(config)
