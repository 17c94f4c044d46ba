"""Values that cannot be: each as a user types it, and some in the place of every value of every yaml."""

import math
from copy import deepcopy
from dataclasses import fields

import pytest
from messages import refused_at_the_start
from omegaconf import DictConfig, OmegaConf
from yamls import GROUPS, choices, composed, sources

from vae_exp.config.assembly import SET_BY_PROGRAM, Root, build_part, check_config
from vae_exp.config.memory import check_memory
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.config.schema import check_node, target_of
from vae_exp.errors import UserError
from vae_exp.training.settings import TrainerSettings
from vae_exp.training.trainer import build_trainer

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


NEEDED = ["needs about", "GiB of memory", "there are"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("~samples", ["samples: a value is needed"]),
        ("~seed", ["seed: a value is needed"]),
        ("~name", ["name: a value is needed"]),
        ("~paths.cache", ["paths.cache: a value is needed"]),
        ("~stages", ["~stages: stages is null"]),
        ("~optimizer.lr", ["optimizer.lr: a value is needed"]),
        ("~optimizer.lrr", ["optimizer.lrr: no such key", "mean optimizer.lr?"]),
        ("network=[mlp]", ["network=[mlp]: is a list"]),
        ("architecture=dae architecture/corruption=[masking,gaussian]", ["architecture/corruption=[masking,gaussian]"]),
        ("network=3", ["network=3: a part cannot be 3"]),
        ("weight_prior=inf", ["weight_prior=inf", "finite"]),
        ("optimizer=adam optimizer.betas=[0.9,nan]", ["optimizer.betas=[0.9, nan]", "finite"]),
        ("name=''", ["name="]),
        ("trainer.accelerator=cpu trainer.devices=-3", ["trainer.devices=-3"]),
        ("trainer.accelerator=cpu trainer.devices=-1", ["trainer.devices=-1", "CPU"]),
        ("trainer.accelerator=cpu trainer.devices=x", ["trainer.devices=x"]),
        ("trainer.accelerator=cpu trainer.devices=[0]", ["trainer.devices=[0]", "CPU"]),
        ("trainer.log_every_n_steps=0", ["trainer.log_every_n_steps=0", "greater than 0"]),
        ("start_from=/nonexistent", ["start_from=/nonexistent"]),
        ("start_from=", ["start_from=: is not allowed"]),
        ("trainer.accelerator=tpu", ["trainer: ", "trainer.accelerator=tpu"]),
        ("samples=10,000", ["samples=10,000: several values need a sweep (-m)", "samples=[10,000]"]),
        ("seed=range(3)", ["seed=range(3)", "--multirun"]),
        ("dataset.source._target_=os.path", ["dataset.source._target_=os.path: is a module"]),
        ("dataset.source._target_=vae_exp.network.MLP", ["dataset.source._target_=", "a Source is needed"]),
        ("likelihood._target_=vae_exp.network.MLP", ["likelihood._target_=", "a Likelihood is needed"]),
        ("callbacks.evaluate._target_=builtins.dict", ["callbacks.evaluate._target_=builtins.dict"]),
        ("+callbacks.x._target_=vae_exp.likelihood.Bernoulli", ["callbacks.x._target_=", "is no callback"]),
        ("network.hidden_sizes.first=8", ["network.hidden_sizes.first=8: network.hidden_sizes is a list"]),
        ("network.hidden_sizes=[8", ["network.hidden_sizes=[8: "]),
        ("samples=${seed", ["samples=${seed: "]),
        ("samples=${nothing}", ["samples: ", "'nothing' not found"]),
        ("network.hidden_sizes=[99999999999999999999]", ["network.hidden_sizes=[99999999999999999999]", "at most"]),
        ("architecture.latent_dim=1000000000", ["architecture.latent_dim=1000000000: ", *NEEDED]),
        ("network.hidden_sizes=[100000000]", ["network.hidden_sizes=[100000000]: ", *NEEDED]),
        ("objective.samples=1000000000", ["objective.samples=1000000000: ", *NEEDED]),
        ("objective=mcem objective.samples=1000000000", ["objective.samples=1000000000: ", *NEEDED]),
        ("dataset.batch_size=1000000000 samples=2000000000", ["dataset.batch_size=1000000000: ", *NEEDED]),
        ("+experiment=mnist_sae architecture.sizes=[1000000000]", ["stages.layer1: architecture.sizes=", *NEEDED]),
        ("trainer.max_epochs=3", ["trainer.max_epochs: no such key", "samples=…", "60000"]),
        ("+trainer.limit_train_batches=2", ["trainer.limit_train_batches: no such key", "dataset.train_size=…"]),
        ("trainer.profiler=simple", ["+trainer.profiler=…"]),
        (
            "dataset.binarization=dynamic likelihood=gaussian",
            ["dataset.binarization=dynamic", "likelihood.variance=fixed"],
        ),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(run, override, words):
    refused_at_the_start(run(*QUICK, *(word.replace("''", "") for word in override.split())), *words)


def test_binarised_images_may_have_a_fixed_variance(run):
    outcome = run("dataset.binarization=static", "likelihood=gaussian", "likelihood.variance=fixed", *QUICK)
    assert outcome.status == 0, outcome.err


BAD = [None, "", -1, math.inf, [], 10**20]


def keys(node, path=""):
    """Every key, without those that say what is built."""
    for key in (str(key) for key in node if not str(key).startswith("_")):
        yield f"{path}{key}"
        if isinstance(node[key], DictConfig):
            yield from keys(node[key], f"{path}{key}.")


CHOICES = [
    (group, choice)
    for group in sorted(GROUPS - {"experiment", "hydra/launcher", "hydra/sweeper", "architecture/corruption"})
    for choice in choices(group)
    if "_target_" in OmegaConf.load(CONFIG_DIR / group / f"{choice}.yaml")  # the others are variants of these
] + [("callbacks", "default"), ("logger", "many")]


def complaint(build):
    """What is said of a value, empty where nothing is; any other error is a fault."""
    try:
        build()
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_a_bad_value_of_a_part_is_refused_or_builds(group, choice, tmp_path, small_data):
    config = composed(f"{group}={choice}", "name=test", *sources(choice, small_data))
    part = config.get(group) or {}

    def build(changed):
        if "_target_" in part:
            check_node(changed, target_of(changed, group), group, SET_BY_PROGRAM)
        else:
            check_config(OmegaConf.create({**config, group: changed}))
        whole = OmegaConf.create({**config, group: changed})
        if group == "trainer":
            build_trainer(build_part(whole.trainer, group, TrainerSettings), tmp_path, [])
        elif group not in ("callbacks", "logger", "optimizer"):
            check_memory(whole)

    for key in keys(part):
        for value in BAD:
            changed = deepcopy(part)
            OmegaConf.update(changed, key, value, merge=False)
            said = complaint(lambda changed=changed: build(changed))
            assert f"{group}.{key}" in said or not said, (key, value, said)


def test_a_bad_value_at_the_top_is_refused_or_builds():
    config = composed("name=test")
    for key in [field.name for field in fields(Root)] + ["paths.data", "paths.cache"]:
        for value in BAD:
            changed = deepcopy(config)
            OmegaConf.update(changed, key, value, merge=False)
            said = complaint(lambda changed=changed: check_config(changed))
            assert key in said or not said, (key, value, said)
