"""Parts from outside that do not keep their contract: one message each, with the key and what is wrong."""

import math
import random
from copy import deepcopy

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn
from torch.distributions import Independent, Laplace, Normal

from vae_exp.architecture import AE
from vae_exp.config.assembly import check_config
from vae_exp.config.contracts.check import check_contracts
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.corruption import Corruption
from vae_exp.errors import ConfigError
from vae_exp.foreign import PartError
from vae_exp.likelihood import Likelihood
from vae_exp.network import MLP, Decoder, Encoder, Network
from vae_exp.objective import Objective
from vae_exp.prior.normal import kl_of_normals


class GoodEncoder(Encoder):
    def __init__(self, shape, context, out_features):
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(math.prod(shape) + context, out_features)

    def forward(self, x, c):
        return self.linear(torch.cat([x.flatten(1).repeat(len(c) // len(x), 1), c], 1))

    def squared_jacobian_norm(self, x, c):
        raise NotImplementedError

    def squared_jacobian_change(self, x, near, c):
        raise NotImplementedError

    def filters(self):
        return self.linear.weight[:, : math.prod(self.shape)].unflatten(1, self.shape)


class GoodDecoder(Decoder):
    def __init__(self, in_features, shape):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, math.prod(shape)), nn.Unflatten(1, shape))

    def forward(self, z):
        return self.layers(z)


class GoodNetwork(Network):
    def encoder(self, shape, context, out_features, activation="identity"):
        return GoodEncoder(shape, context, out_features)

    def decoder(self, in_features, shape, encoder=None):
        return GoodDecoder(in_features, shape)


class WideEncoder(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        return GoodEncoder(shape, context, out_features + 1)


class Unlabelled(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        class Forgets(GoodEncoder):
            def forward(self, x, c):
                return self.linear(torch.cat([x.flatten(1), c], 1))

        return Forgets(shape, context, out_features)


class FlatFilters(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        class Flat(GoodEncoder):
            def filters(self):
                return self.linear.weight

        return Flat(shape, context, out_features)


class PlainEncoder(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        return nn.Linear(math.prod(shape), out_features)


class AbstractEncoder(GoodNetwork):
    def encoder(self, shape, context, out_features, activation="identity"):
        class Unfinished(Encoder):
            def forward(self, x, c):
                return x

        return Unfinished()


class TransposedDecoder(GoodNetwork):
    def decoder(self, in_features, shape, encoder=None):
        return GoodDecoder(in_features, (shape[0], shape[1] // 2, shape[2] * 2))


class RaisingDecoder(GoodNetwork):
    def decoder(self, in_features, shape, encoder=None):
        return GoodDecoder(in_features + 1, shape)


class NotANumber(GoodNetwork):
    def decoder(self, in_features, shape, encoder=None):
        decoder = GoodDecoder(in_features, shape)
        nn.init.constant_(decoder.layers[0].weight, math.nan)
        return decoder


class FewArguments(GoodNetwork):
    def encoder(self, shape, out_features):
        return GoodEncoder(shape, 0, out_features)


class NoDecoder(Network):
    def encoder(self, shape, context, out_features, activation="identity"):
        return GoodEncoder(shape, context, out_features)


class Strict(GoodNetwork):
    def __init__(self, width: int = 8) -> None:
        if width % 8:
            raise ValueError(f"width {width} is no\nmultiple of 8")


class GoodLikelihood(Likelihood):
    parameters_per_pixel = 1
    density = True
    support = "real"

    def forward(self, features):
        return Independent(Laplace(features, 1.0), 3)

    def diagnostics(self, p):
        return {"scale": 1.0}


class Uncounted(GoodLikelihood):
    parameters_per_pixel = None


class Unsupported(GoodLikelihood):
    support = "positive"


class ByPixel(GoodLikelihood):
    def forward(self, features):
        return Laplace(features, 1.0)


class Centred(GoodLikelihood):
    def forward(self, features):
        return Independent(Laplace(features.flatten(1), 1.0), 1)


class OneBatch(GoodLikelihood):
    def forward(self, features):
        batch, *shape = features.shape
        return Independent(Laplace(features.reshape(batch, *shape[-3:]), 1.0), 3)


class Features(GoodLikelihood):
    def forward(self, features):
        return features


class Detached(GoodLikelihood):
    def forward(self, features):
        return Independent(Laplace(features.detach(), 1.0), 3)


class Logarithmic(GoodLikelihood):
    """It has no density at black pixels."""

    support = "unit"

    def forward(self, features):
        class LogNormal(Normal):
            def log_prob(self, value):
                return super().log_prob(value.log()) - value.log()

        return Independent(LogNormal(features, 1.0), 3)


class Talkative(GoodLikelihood):
    def diagnostics(self, p):
        return "all is well"


class GoodObjective(Objective):
    terms = ("nll", "kl")

    def forward(self, x, encode, p, decode):
        q = encode(x)
        return {"nll": -decode(q.rsample((1,))).log_prob(x).mean(0), "kl": kl_of_normals(q, p)}


class OtherNames(GoodObjective):
    terms = ("nll", "rate")


class Nameless(GoodObjective):
    terms = ()


class Mean(GoodObjective):
    def forward(self, x, encode, p, decode):
        return {name: term.mean() for name, term in super().forward(x, encode, p, decode).items()}


class Tuple(GoodObjective):
    def forward(self, x, encode, p, decode):
        return tuple(super().forward(x, encode, p, decode).values())


class Frozen(GoodObjective):
    def forward(self, x, encode, p, decode):
        return {name: term.detach() for name, term in super().forward(x, encode, p, decode).items()}


class GoodCorruption(Corruption):
    def forward(self, x):
        return x * (torch.rand_like(x) < 0.5) + random.random() * np.random.rand()


class Cropping(GoodCorruption):
    def forward(self, x):
        return x[..., 1:]


class Rounding(GoodCorruption):
    def forward(self, x):
        return (x > 0.5).long()


class Unweighted(AE):
    def weights(self, counts):
        return {}


class Renamed(AE):
    def evaluate_terms(self, x, y=None):
        return {"cost": super().evaluate_terms(x, y)["nll"]}


class Summed(AE):
    def terms(self, x, y=None):
        return {"nll": super().terms(x, y)["nll"].sum()}


class WrongCode(AE):
    def _encode(self, x, y=None):
        return super()._encode(x, y)[:, :1]


class NoShape(AE):
    def __init__(self, shape, network, likelihood):
        super().__init__(shape, network, likelihood)
        del self.shape


def good_optimizer(params, lr: float = 0.1):
    return torch.optim.SGD(params, lr=lr)


def bad_optimizer(params, lr: float = 0.1):
    return [params, lr]


def diverging_optimizer(params, lr: float = 0.1):
    return torch.optim.SGD(params, lr=math.inf)


def needs_closure(params, lr: float = 0.1):
    return torch.optim.LBFGS([parameter for group in params for parameter in group["params"]], lr=lr)


@pytest.fixture(scope="module")
def composed():
    """The config of a VAE, and of other architectures."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return {
            name: compose("config", [f"architecture={name}", "name=test", "architecture.latent_dim=2"])
            for name in ("vae", "cvae", "dae", "cae", "m2", "m1_m2")
        }


def states():
    """The states of all generators of random numbers."""
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@pytest.fixture
def check(composed):
    """Check a config with a part of this file in the place of ours, at a dotted key. No generator may change."""

    def checked(key, part, architecture="vae", **arguments):
        config = deepcopy(composed[architecture])
        config.likelihood = {"_target_": "vae_exp.likelihood.Bernoulli"}
        node = {"_target_": f"{__name__}.{part.__name__}", **arguments}
        OmegaConf.update(config, key, node, merge=False, force_add=True)
        check_config(config)
        before = states()
        try:
            check_contracts(config)
        finally:
            assert states() == before

    return checked


@pytest.mark.parametrize(
    ("key", "part", "architecture"),
    [
        ("network", GoodNetwork, "vae"),
        ("network", GoodNetwork, "cvae"),
        ("network", GoodNetwork, "m2"),
        ("network", GoodNetwork, "dae"),
        ("likelihood", GoodLikelihood, "vae"),
        ("objective", GoodObjective, "vae"),
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


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (WideEncoder, r"GoodEncoder\(x, c\) for 2 images must be a tensor .* \(2, 4\), and its shape is \(2, 5\)"),
        (FlatFilters, r"Flat\.filters\(\) must be images \(N, 1, h, w\), and is \(4, 784\)"),
        (PlainEncoder, r"PlainEncoder\.encoder\(\) must return an Encoder, not a Linear"),
        (AbstractEncoder, r"TypeError: Can't instantiate abstract class Unfinished .*filters"),
        (TransposedDecoder, r"GoodDecoder\(z\) for 2 latents must be .*\(2, 1, 28, 28\), .* is \(2, 1, 14, 56\)"),
        (RaisingDecoder, r"GoodDecoder\(z\) for 2 latents: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        (NotANumber, r"GoodDecoder\(z\) for 2 latents must be finite for random images, and has NaN or infinity"),
        (FewArguments, r"TypeError: .*encoder\(\) takes 3 positional arguments but 5 were given"),
    ],
)
def test_a_network_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^network: {message}.*\(docs/own_parts\.md\)$"):
        check("network", part)


def test_an_encoder_must_take_every_image_with_every_label(check):
    with pytest.raises(PartError, match=r"^network: Forgets\(x, c\) for 2 images and 4 rows of labels: RuntimeError"):
        check("network", Unlabelled, "cvae")


def test_a_combination_that_fails_names_the_parts_from_outside(check):
    with pytest.raises(PartError, match=r"^network: NotImplementedError \(docs/own_parts\.md\)$"):
        check("network", GoodNetwork, "cae")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Uncounted, r"Uncounted\.parameters_per_pixel must be a whole number, 1 or more, and is None"),
        (Unsupported, r"Unsupported\.support must be unit or real, and is positive"),
        (ByPixel, r"ByPixel\(features \(2, 1, 28, 28\)\) must have the batch_shape \(2,\), and has \(2, 1, 28, 28\)"),
        (Centred, r"Centred\(features \(2, 1, 28, 28\)\) must have the event_shape \(1, 28, 28\), and has \(784,\)"),
        (OneBatch, r"RuntimeError: shape '\[3, 1, 28, 28\]' is invalid"),
        (Features, r"Features\(features \(2, 1, 28, 28\)\) must be a Distribution, and is a Tensor"),
        (Detached, r"log_prob\(x\) of Detached\(features \(2, 1, 28, 28\)\) must have a gradient, and has none"),
        (Logarithmic, r"log_prob\(x\) of Logarithmic\(.*\) must be finite for random images"),
        (Talkative, r"Talkative\.diagnostics\(p\) must be a dict of floats, and is all is well"),
    ],
)
def test_a_likelihood_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^likelihood: {message}.*\(docs/own_parts\.md\)$"):
        check("likelihood", part)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (OtherNames, r"the names of its terms must be \['nll', 'rate'\], as in OtherNames\.terms, not \['kl', 'nll'\]"),
        (Nameless, r"Nameless\.terms must be a tuple of names, and is \(\)"),
        (Mean, r"Mean\(x, encode, p, decode\)\['nll'\] must be a tensor of floats \(2,\), and its shape is \(\)"),
        (Tuple, r"Tuple\(x, encode, p, decode\) must be a dict of terms, and is a tuple"),
        (Frozen, r"the sum of its terms must have a gradient for the decoder, and has none"),
    ],
)
def test_an_objective_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^objective: .*{message}.*\(docs/own_parts\.md\)$"):
        check("objective", part)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Cropping, r"Cropping\(x\) must be a tensor of floats \(2, 1, 28, 28\), and its shape is \(2, 1, 28, 27\)"),
        (Rounding, r"Rounding\(x\) must be a tensor of floats .*, and its type is torch\.int64"),
    ],
)
def test_a_corruption_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^architecture\.corruption: {message}"):
        check("architecture.corruption", part, "dae")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Unweighted, r"Unweighted\.weights\(counts\) must have the names of the terms, \['nll'\], not \[\]"),
        (Renamed, r"Renamed\.evaluate_terms\(x, y\) must have nll, and has \['cost'\]"),
        (Summed, r"Summed\.terms\(x, y\)\['nll'\] must be a tensor of floats \(2,\), and its shape is \(\)"),
        (WrongCode, r"RuntimeError: "),
        (NoShape, r"NoShape must set the attribute shape, and does not"),
    ],
)
def test_an_architecture_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^architecture: {message}"):
        check("architecture", part, "dae")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (bad_optimizer, r"a torch\.optim\.Optimizer is needed here, and this is a list"),
        (diverging_optimizer, r"a parameter after SGD\.step\(\) must be finite"),
        (needs_closure, r"TypeError: .*closure"),
    ],
)
def test_an_optimizer_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^optimizer: {message}"):
        check("optimizer", part)


def test_a_missing_method_is_named_before_anything_is_built(check):
    message = r"^network\._target_=.*\.NoDecoder: lacks decoder, which Network must have \(docs/own_parts\.md\)$"
    with pytest.raises(ConfigError, match=message):
        check("network", NoDecoder)


def test_an_exception_of_a_constructor_is_one_line_with_the_key(check):
    check("network", Strict, width=16)
    with pytest.raises(PartError, match=r"^network: ValueError: width 9 is no multiple of 8 \(docs/own_parts\.md\)$"):
        check("network", Strict, width=9)
