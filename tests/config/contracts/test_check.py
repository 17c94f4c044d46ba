"""Parts from outside: those that keep their contract pass, others are named with their key."""

import pytest
from good_parts import (
    GoodCorruption,
    GoodEncoder,
    GoodLikelihood,
    GoodNetwork,
    GoodObjective,
    GoodPosterior,
    GoodPrior,
    good_optimizer,
)

from vae_exp.errors import ConfigError
from vae_exp.foreign import PartError
from vae_exp.network import MLP, Network


class NoDecoder(Network):
    def encoder(self, shape, context, out_features, activation="identity"):
        return GoodEncoder(shape, context, out_features)


class Strict(GoodNetwork):
    def __init__(self, width: int = 8) -> None:
        if width % 8:
            raise ValueError(f"width {width} is no\nmultiple of 8")


@pytest.mark.parametrize(
    ("key", "part", "architecture"),
    [
        ("network", GoodNetwork, "vae"),
        ("network", GoodNetwork, "cvae"),
        ("network", GoodNetwork, "m2"),
        ("network", GoodNetwork, "dae"),
        ("likelihood", GoodLikelihood, "vae"),
        ("objective", GoodObjective, "vae"),
        ("prior", GoodPrior, "vae"),
        ("prior", GoodPrior, "m1_m2"),
        ("posterior", GoodPosterior, "vae"),
        ("posterior", GoodPosterior, "m2"),
        ("architecture.corruption", GoodCorruption, "dae"),
        ("optimizer", good_optimizer, "vae"),
    ],
)
def test_a_part_that_keeps_its_contract_passes(check, key, part, architecture):
    check(key, part, architecture)


def test_a_family_that_is_a_kind_of_mlp_stays_one(check):
    class Mine(MLP):
        pass

    globals()["Mine"] = Mine
    check("network", Mine, "m1_m2")


def test_a_missing_method_is_named_before_anything_is_built(check):
    message = r"^network\._target_=.*\.NoDecoder: lacks decoder, which Network must have \(docs/own_parts\.md\)$"
    with pytest.raises(ConfigError, match=message):
        check("network", NoDecoder)


def test_an_exception_of_a_constructor_is_one_line_with_the_key(check):
    check("network", Strict, width=16)
    with pytest.raises(PartError, match=r"^network: ValueError: width 9 is no multiple of 8 \(docs/own_parts\.md\)$"):
        check("network", Strict, width=9)
