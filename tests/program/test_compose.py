"""Every yaml composes and builds; every combination trains. New ones are tested the day they are added."""

import math
import re
from itertools import product
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from images import needs_frey_face
from omegaconf import OmegaConf, open_dict
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits
from yamls import GROUPS, SMALL_ARCHITECTURE, SMALL_NETWORK, choices, sources

from vae_exp import load_run
from vae_exp.config.assembly import build_architecture, build_data, check_config
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.corruption import Masking
from vae_exp.likelihood import Bernoulli, Gaussian

QUICK = [
    "samples=12",
    "dataset.batch_size=6",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.1",
    "callbacks.evaluate.images=20",
]

TRAINED_WITH = "vae"
"""The architecture that trains with every likelihood. The others train with those of the published models."""

TRAINED = {"architecture", "likelihood", "network", "objective", "posterior", "prior"}
"""The groups of which every choice trains in a test below."""

FIRST_LIKELIHOODS = ("bernoulli", "gaussian", "continuous_bernoulli")

LIKELIHOODS = {("stacked", "gaussian"): ["likelihood.variance=fixed"]}
LOGGING = {"hydra/hydra_logging", "hydra/job_logging"}
OF_LABELS = {"cvae", "m2", "m1_m2", "aae_supervised", "aae_semi"}


def composed(*overrides: str):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("config", overrides=[*overrides, "name=test"], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    check_config(config)
    return config


def test_the_groups_are_known():
    groups = "dataset architecture architecture/corruption head likelihood network objective optimizer posterior prior"
    assert {
        *groups.split(),
        "scheduler",
        "trainer",
        "logger",
        "callbacks",
        "callbacks/stop",
        "experiment",
        "hydra/launcher",
        "hydra/sweeper",
        *LOGGING,
    } == GROUPS


def comment(experiment: str, pattern: str) -> list[float]:
    """The numbers that a yaml states."""
    found = re.search(pattern, (CONFIG_DIR / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8"))
    assert found is not None
    return [float(number) for number in found.groups()]


def test_the_linear_autoencoders_nll_is_the_squared_error_and_what_its_comment_says():
    likelihood = Gaussian("fixed", std=0.5**0.5, mean="identity")
    x, features = torch.rand(2, 3, 1, 28, 28, dtype=torch.float64)
    constant = -likelihood.double()(features).log_prob(x) - (x - features).square().flatten(1).sum(1)
    torch.testing.assert_close(constant, torch.full_like(constant, 392 * math.log(math.pi)))
    (stated,) = comment("linear_ae", r"\(([\d.]+) on MNIST\)")
    assert stated == pytest.approx(constant[0].item(), abs=5e-4)


@pytest.mark.parametrize("latents", [2, 4])
def test_the_loss_of_deep_learning_with_python_has_the_beta_that_the_comment_says(latents):
    """Listing 8.28 there: means over pixels and latents, and the KL by 5e-4; times 784 that is ours."""
    x, logits = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    mean, log_variance = torch.randn(2, 1, latents, dtype=torch.float64)
    of_latents = 1 + log_variance - mean.square() - log_variance.exp()
    book = binary_cross_entropy_with_logits(logits, x) - 5e-4 * of_latents.mean()
    nll = -Bernoulli()(logits[None]).log_prob(x[None])
    kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
    beta = (784 * book - nll) / kl
    stated = dict(
        zip((2, 4), comment("keras_conv_vae", r"beta=([\d.]+),[^(]+\(([\d.]+) with four latents\)"), strict=True)
    )
    assert stated[latents] == pytest.approx(beta.item(), abs=5e-4)


@pytest.mark.parametrize(
    ("group", "choice"), [(group, choice) for group in sorted(GROUPS - TRAINED) for choice in choices(group)]
)
def test_every_yaml_composes_and_builds(group, choice, small_data):
    added = "+" if group in ("experiment", "architecture/corruption") else ""
    config = composed(
        *(["architecture=ae"] if group in ("architecture/corruption", "head") else []),
        f"{added}{group}={choice}",
        *(sources(choice, small_data) if group == "dataset" else []),
    )
    architecture = build_architecture(config, build_data(config))
    if "latent_dim" in config.architecture:
        assert architecture.autoencoder.latent_dim == config.architecture.latent_dim
    assert OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize(
    ("overrides", "optimizer"),
    [
        (["network=mlp"], "adagrad"),
        (["network=conv"], "adam"),
        (["network=resnet", "optimizer.lr=0.002"], "adam"),
        (["network=resnet", "optimizer=adagrad"], "adagrad"),
        (["optimizer=sgd", "network=conv"], "sgd"),
        (["+experiment=keras_conv_vae"], "rmsprop"),
        (["+experiment=mnist_vae", "network=resnet"], "adagrad"),
        (["+experiment=mnist_vae", "network=resnet", "optimizer=sgd"], "sgd"),
    ],
    ids=str,
)
def test_a_network_brings_an_optimizer_and_the_user_and_experiments_choose_another(overrides, optimizer):
    assert composed(*overrides).optimizer["_target_"] == f"vae_exp.optimizer.{optimizer}"


def test_m2_masks_pixels_for_its_classifier_and_the_masks_can_be_turned_off():
    masked, unmasked = (composed("+experiment=mnist_m2", *words) for words in ([], ["architecture.corruption=null"]))
    assert isinstance(build_architecture(masked, build_data(masked)).autoencoder.corruption, Masking)
    assert build_architecture(unmasked, build_data(unmasked)).autoencoder.corruption is None


PAPER = [("frey_face", "vae", "gaussian", "mlp")]


@pytest.mark.parametrize(
    ("dataset", "architecture", "likelihood", "network"),
    [
        pytest.param(*parts, marks=needs_frey_face if parts[0] == "frey_face" else [])
        for parts in product(*map(choices, ("dataset", "architecture", "likelihood", "network")))
        if not (parts[0] == "frey_face" and parts[1] in OF_LABELS)
        and (parts[1] == TRAINED_WITH or parts[2] in FIRST_LIKELIHOODS)
        and not (parts[1] in ("m1_m2", "stacked") and parts[3] != "mlp")  # these are fully connected
        and not (parts[1] == "aae_supervised" and parts[2:] != ("bernoulli", "mlp"))  # otherwise as aae
        and parts[0] not in ("celeba", "cifar10", "omniglot", "svhn")  # tests/dataset/test_torchvision_sets.py
        # every architecture with the first likelihoods and every network, some with every dataset, and the paper's
        and (parts[0] == "mnist" or parts[1] in ("vae", "m2"))
        and ((parts[0] != "mnist") + (parts[2] != "bernoulli") + (parts[3] != "mlp") <= 1 or parts in PAPER)
    ],
)
@pytest.mark.usefixtures("few_digits", "reports")
def test_every_combination_trains_two_steps(run, dataset, architecture, likelihood, network, small_data):
    parts = [f"dataset={dataset}", f"architecture={architecture}", f"likelihood={likelihood}", f"network={network}"]
    size = SMALL_ARCHITECTURE.get(architecture, ["architecture.latent_dim=3"])
    parts += sources(dataset, small_data)
    outcome = run(*parts, *SMALL_NETWORK[network], *QUICK, *size, *LIKELIHOODS.get((architecture, likelihood), []))
    assert outcome.status == 0, outcome.err
    results = outcome.results
    assert (results["status"], results["samples"], results["step"]) == ("completed", 12, 2)
    assert [results[group] for group in ("dataset", "architecture", "likelihood", "network")] == [
        dataset,
        architecture,
        likelihood,
        network,
    ]
    assert math.isfinite(results["test/nll"])
    kl = results.get("test/kl")
    assert (kl is not None) == ("vae" in architecture or "m2" in architecture)
    assert results["test/bound"] == (kl and pytest.approx(-results["test/nll"] - kl, rel=1e-5))


@pytest.mark.parametrize("objective", choices("objective"))
@pytest.mark.usefixtures("few_digits")
def test_every_objective_trains_and_its_model_can_be_loaded(run, objective):
    words = ["network.hidden_sizes=[8]", "architecture.latent_dim=3"]
    outcome = run(f"objective={objective}", *words, *QUICK)
    assert outcome.status == 0, outcome.err
    results = outcome.results
    assert results["test/kl"] > 0
    assert results["test/bound"] == pytest.approx(-results["test/nll"] - results["test/kl"], rel=1e-5)
    assert load_run(outcome.directory).model.sample(2).shape == (2, 1, 28, 28)


SMALL_LATENTS = {
    "vamp": ["prior.components=4"],
    "flow": ["prior.hidden_sizes=[4]", "prior.transforms=2"],
    "sylvester": ["posterior.transforms=2", "posterior.vectors=2"],
    "planar": ["posterior.transforms=2"],
    "iaf": ["posterior.hidden_sizes=[4]", "posterior.transforms=2", "posterior.context=2"],
    "spline": ["posterior.hidden_sizes=[4]", "posterior.transforms=1", "posterior.context=2"],
}
PAIRS = list(product(choices("prior"), choices("posterior")))
OTHERS = [
    ("vae", "sgvb_a"),
    ("m2", "sgvb_b"),
    ("vae", "iwae"),
    ("cvae", "sgvb_b"),
    ("vae", "full_vb"),
    ("m1_m2", "sgvb_a"),
]
"""What the pairs of a prior and a posterior are trained with, one after another."""


def with_another(number, prior):
    """The architecture and the objective of a pair. A model that is given labels has no VampPrior."""
    architecture, objective = OTHERS[number % len(OTHERS)]
    return ("vae", "sgvb_b") if prior == "vamp" and architecture != "vae" else (architecture, objective)


@pytest.mark.parametrize(
    ("prior", "posterior", "architecture", "objective"),
    [(*pair, *with_another(i + i // 6, pair[0])) for i, pair in enumerate(PAIRS)],
)
@pytest.mark.usefixtures("few_digits", "reports")
def test_every_prior_trains_with_every_posterior(run, prior, posterior, architecture, objective):
    small = ["network.hidden_sizes=[8]", "architecture.latent_dim=3", "callbacks.figures=null"]
    parts = [f"prior={prior}", f"posterior={posterior}", f"architecture={architecture}", f"objective={objective}"]
    outcome = run(*parts, *small, *SMALL_LATENTS.get(prior, []), *SMALL_LATENTS.get(posterior, []), *QUICK)
    assert outcome.status == 0, outcome.err
    results = outcome.results
    assert (results["status"], results["step"]) == ("completed", 2)
    assert (results["prior"], results["posterior"]) == (prior, posterior)
    assert results["test/bound"] == pytest.approx(-results["test/nll"] - results["test/kl"], rel=1e-5)
    assert load_run(outcome.directory).model.sample(2).shape == (2, 1, 28, 28)


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("cvae", "architecture.conditional=true"),
        ("m2", "architecture=m2"),
        ("m1_m2", "architecture=m2"),
        ("aae_supervised", "architecture.conditional=true"),
        ("aae_semi", "architecture=aae_semi"),
    ],
)
def test_a_model_of_labels_of_unlabelled_faces_is_refused_before_anything_is_loaded(run, architecture, told):
    outcome = run("dataset=frey_face", f"architecture={architecture}")
    assert outcome.status == 1
    assert told in outcome.err
    assert "label" in outcome.err
    assert outcome.results["status"] == "failed"
    assert not (outcome.directory / "wandb").exists()


def test_experiments_are_the_ones_documented():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [name for name in choices("experiment") if f"`{name}`" not in readme] == []
