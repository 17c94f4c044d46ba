"""The config of an experiment without other overrides."""

import pytest

from vae_exp.config.defaults import defaults_of


def test_an_experiment_has_its_choices_its_values_and_its_paper():
    found = defaults_of("mnist_vae")
    assert found.choices["likelihood"] == "bernoulli"
    assert (found.values["samples"], found.values["architecture.latent_dim"]) == (1_000_000, 20)
    assert found.source.startswith("MNIST in Auto-Encoding Variational Bayes (arXiv 1312.6114")
    assert "@package" not in found.source


def test_without_an_experiment_the_values_are_those_of_every_run():
    found = defaults_of(None)
    assert (found.choices["architecture"], found.values["seed"], found.source) == ("vae", 0, "")


def test_values_that_follow_from_others_are_named_and_have_no_value():
    found = defaults_of("figure3")
    assert "optimizer.lr" in found.derived
    assert "optimizer.lr" not in found.values


@pytest.mark.parametrize("name", ["own", "../root", "", "[mnist_vae,mnist_dae]"])
def test_an_experiment_that_is_not_ours_has_none(name):
    assert defaults_of(name) is None
