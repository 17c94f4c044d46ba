"""Codes of images, in batches."""

import pytest
import torch
from torch.distributions import Normal

from vae_exp.architecture import AE, M2, VAE, Classifier
from vae_exp.evaluation.codes import encode_images
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 3, 3)
X = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, -1, 1, 0, 2])


def encoded(model, x=X, y=Y):
    model.eval().requires_grad_(False)
    return encode_images(model, zip(x.split(3), y.split(3), strict=True))


def network():
    return MLP([6], init_std=0.5)


def test_a_random_code_has_a_mean_and_a_variance():
    model = VAE(SHAPE, 0, network(), Bernoulli(), SGVBB(), latent_dim=2)
    codes = encoded(model)
    draws = model.posterior(X).sample((20_000,))
    normal = Normal(codes.code, (0.5 * codes.log_variance).exp())
    torch.testing.assert_close(draws.mean(0), normal.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(draws.std(0), normal.stddev, atol=0.05, rtol=0)
    assert torch.equal(codes.label, Y)
    assert codes.predicted is None


def test_a_code_that_is_a_function_of_the_image_has_no_variance():
    model = AE(SHAPE, network(), Bernoulli(), latent_dim=2)
    codes = encoded(model)
    torch.testing.assert_close(codes.code, model.encode(X))
    assert codes.log_variance is None


def test_a_classifier_gives_the_code_of_its_autoencoder_and_its_prediction():
    autoencoder = AE(SHAPE, network(), Bernoulli(), latent_dim=2)
    model = Classifier(SHAPE, 3, autoencoder)
    codes = encoded(model)
    torch.testing.assert_close(codes.code, autoencoder.encode(X))
    assert torch.equal(codes.predicted, model.classify(X).argmax(1))


@pytest.mark.parametrize("labels", [Y, (Y + 1) % 3], ids=["its own", "others"])
def test_m2_encodes_with_the_labels_that_it_predicts(labels):
    torch.manual_seed(1)
    model = M2(SHAPE, 3, network(), Bernoulli(), SGVBB(), latent_dim=2)
    codes = encoded(model, y=labels)
    assert torch.equal(codes.label, labels)
    torch.testing.assert_close(codes.code, model.encode(X, model.classify(X).argmax(1)))


def test_a_conditional_vae_encodes_with_the_labels_that_it_is_given():
    model = VAE(SHAPE, 3, network(), Bernoulli(), SGVBB(), latent_dim=2, conditional=True)
    torch.testing.assert_close(encoded(model, y=Y.clamp(min=0)).code, model.encode(X, Y.clamp(min=0)))
