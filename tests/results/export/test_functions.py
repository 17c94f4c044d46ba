"""What is exported of a model."""

import pytest
import torch
from torch.distributions import Categorical as Choice
from torch.distributions import Independent, Laplace, MixtureSameFamily, Normal, StudentT

from vae_exp.architecture import AE, M2, VAE, Classifier
from vae_exp.dataset.standardisation import Standardisation
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.likelihood.continuous_bernoulli import ContinuousBernoulli
from vae_exp.network import MLP
from vae_exp.objective import MCEM, SGVBB
from vae_exp.results.export.functions import functions_of, parameters_of

SHAPE = (1, 2, 3)
FEATURES = torch.randn(2, 1, 2, 3)


def network():
    return MLP([4], init_std=0.5)


def vae(likelihood, objective=None, **options):
    return VAE(SHAPE, 3, network(), likelihood, objective or SGVBB(), 2, **options).eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("p", "names"),
    [
        (Bernoulli()(FEATURES), ["mean", "logits"]),
        (Gaussian().eval()(torch.randn(2, 2, 2, 3)), ["mean", "scale"]),
        (Gaussian("shared").eval()(FEATURES), ["mean", "scale"]),
        (ContinuousBernoulli()(FEATURES), ["mean", "logits"]),
        (Independent(Laplace(FEATURES, 2.0), 3), ["mean", "scale"]),
        (Independent(StudentT(3.0, FEATURES), 3), ["mean", "df", "loc", "scale"]),
        (Independent(MixtureSameFamily(Choice(torch.ones(2, 1, 2, 3)), Normal(FEATURES, 1.0)), 2), ["mean"]),
    ],
)
def test_parameters_have_the_names_of_pytorchs_distributions(p, names):
    found = parameters_of(p)
    assert list(found) == names
    assert torch.equal(found["mean"], p.mean)
    assert all(value.shape[-3:] == p.mean.shape[-3:] for value in found.values())


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (vae(Bernoulli()), {"encoder": ["code", "log_variance"], "decoder": ["mean", "logits"]}),
        (vae(Bernoulli(), MCEM()), {"decoder": ["mean", "logits"]}),
        (AE(SHAPE, network(), Gaussian("fixed"), 2), {"encoder": ["code"], "decoder": ["mean", "scale"]}),
        (
            M2(SHAPE, 3, network(), Bernoulli(), SGVBB(), 2),
            {"encoder": ["code", "log_variance"], "decoder": ["mean", "logits"], "classifier": ["log_probability"]},
        ),
        (
            Classifier(SHAPE, 3, AE(SHAPE, network(), Bernoulli(), 2)),
            {"encoder": ["code"], "classifier": ["log_probability"]},
        ),
    ],
    ids=["vae", "mcem", "ae", "m2", "classifier"],
)
def test_a_model_has_the_functions_that_have_a_meaning(model, names):
    assert {f.name: list(f.outputs) for f in functions_of(model.eval())} == names


def test_models_that_take_labels_have_them_as_an_input():
    encoder, decoder = functions_of(vae(Bernoulli(), conditional=True))
    assert (list(encoder.inputs), list(decoder.inputs)) == (["x", "y"], ["z", "y"])
    x, y = torch.rand(4, *SHAPE), torch.tensor([0, 1, 2, 0])
    model = vae(Bernoulli(), conditional=True)
    encoder, decoder = functions_of(model)
    q, z = model.posterior(x, y), torch.randn(4, 2)
    for found, expected in zip(encoder({"x": x, "y": y}), (q.mean, q.log_variance), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(decoder({"z": z, "y": y})[0], model.decode(z, y).mean)


def test_inputs_and_outputs_are_in_the_units_of_the_data():
    model = vae(Gaussian(mean="identity"))
    standardisation = Standardisation(torch.full(SHAPE, 50.0).double(), torch.full(SHAPE, 4.0).double())
    encoder, decoder = functions_of(model, standardisation)
    x, z = 50 + 4 * torch.randn(5, *SHAPE), torch.randn(5, 2)
    torch.testing.assert_close(encoder({"x": x})[0], model.encode((x - 50) / 4))
    p = model.decode(z)
    mean, scale = decoder({"z": z})
    torch.testing.assert_close(mean, 50 + 4 * p.mean)
    torch.testing.assert_close(scale, 4 * p.stddev)
    # log p of the data is the log density of the standardised pixels with the constant of the change of units
    log_p = Normal(mean, scale).log_prob(x).sum((1, 2, 3))
    expected = p.log_prob((x - 50) / 4) + standardisation.log_jacobian
    torch.testing.assert_close(log_p, expected)
