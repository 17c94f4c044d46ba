"""What an evaluation of a split says beside its terms: bits per dimension, the floor of σ, and in which precision."""

import math

import pytest
import torch
from torch import backends
from torch.distributions import Normal

from vae_exp.architecture import M1M2, M2, VAE
from vae_exp.dataset.base import Images
from vae_exp.dataset.batches import EvaluationBatches
from vae_exp.evaluation import evaluate
from vae_exp.evaluation.bits import bits_per_dim
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
from vae_exp.network.precision import OPERATIONS, full_precision
from vae_exp.objective import MCEM, SGVBB

SHAPE = (1, 2, 2)


@pytest.fixture(autouse=True)
def exactly():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def vae(likelihood, objective=None):
    return VAE(SHAPE, 0, MLP([]), likelihood, objective or SGVBB(), latent_dim=1)


def batches(pixels, size=100, levels=256):
    images = Images(pixels, torch.full((len(pixels),), -1))
    return EvaluationBatches(images, lambda pixels: pixels.double() / 255, size, levels)


def test_the_share_on_the_floor_is_of_the_whole_split_at_draws():
    """z ~ N(−½, 1) of the first, black half and N(½, 1) of the white one; σ(z) is on its floor where z ≤ 0.3."""
    model = vae(Gaussian(min_std=math.exp(0.6)))
    (weight, bias), (log_variance, _) = (list(part.state_dict().values()) for part in (model.encoder, model.decoder))
    for value in model.state_dict().values():
        value.zero_()
    weight[0], bias[0], log_variance[4:] = 0.25, -0.5, 4.0
    pixels = torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(4000)[:, None, None, None].expand(-1, *SHAPE)
    share = evaluate(model, batches(pixels, 1000))["share_at_min_std"]
    normal = Normal(0.0, 1.0)
    expected = (normal.cdf(torch.tensor(0.8)) + normal.cdf(torch.tensor(-0.2))) / 2
    assert share == pytest.approx(expected.item(), abs=0.02)


def test_every_model_reconstructs_at_draws_from_its_posterior():
    """So that −log p(x) of what it gives is the nll, on average over many draws."""
    x = torch.rand(1, *SHAPE).expand(4000, *SHAPE)
    y = torch.full((4000,), -1)
    parts = {"network": MLP([3], init_std=0.8), "likelihood": Gaussian(), "objective": SGVBB()}
    sure = torch.tensor([20.0, 0.0, 0.0])
    for model in (vae(Gaussian()), M2(SHAPE, 3, **parts, latent_dim=2), M1M2(SHAPE, 3, **parts, features=2)):
        if isinstance(model, M2):  # the nll is a mean over the labels, the reconstruction has the most probable one
            list(model.classifier.state_dict().values())[-1].copy_(sure)
        with torch.no_grad():
            nll, drawn = model.evaluate_terms(x, y)["nll"], -model.reconstruct(x, y).log_prob(x)
        assert drawn.std() > 0.01
        assert drawn.mean().item() == pytest.approx(nll.mean().item(), abs=0.1 * nll.std().item())


def test_bits_per_dimension_are_those_of_the_levels():
    """Under a σ of many levels a level's probability is the density times its width; Frey Face has 5.50."""
    assert bits_per_dim(968.39, (1, 28, 20)) == pytest.approx(5.50, abs=0.005)
    levels = torch.arange(256) / 255
    density = Normal(0.4, 0.1)
    mass = density.cdf(levels + 0.5 / 255) - density.cdf(levels - 0.5 / 255)
    some = mass > 1e-6
    bits = [bits_per_dim(value, (1, 1, 1)) for value in density.log_prob(levels[some]).tolist()]
    torch.testing.assert_close(torch.tensor(bits), -mass[some].log2(), rtol=0, atol=2e-2)


def test_bits_per_dimension_are_told_of_densities_of_256_levels_alone():
    pixels = torch.randint(256, (20, *SHAPE), dtype=torch.uint8)
    found = evaluate(vae(Gaussian()), batches(pixels))
    assert found["bits_per_dim"] == pytest.approx((-found["bound"] / 4 + math.log(255)) / math.log(2))
    assert "bits_per_dim" not in evaluate(vae(Bernoulli()), batches(pixels))
    assert "bits_per_dim" not in evaluate(vae(Gaussian()), batches(pixels, levels=2))


def precisions():
    return [operation.fp32_precision for operation in OPERATIONS]


@pytest.mark.parametrize("fails", [False, True])
def test_an_evaluation_takes_float32_as_it_is_and_then_what_was_taken_before(monkeypatch, fails):
    """The flags of a GPU: PyTorch lets its convolutions take TF32 unless it is told not to."""
    seen = []
    model, pixels = vae(Gaussian()), torch.zeros(3, *SHAPE, dtype=torch.uint8)

    def terms(x, y):
        seen.append((backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, *precisions()))
        if fails:
            raise ZeroDivisionError
        return {"nll": x.flatten(1).sum(1), "kl": x.flatten(1).sum(1)}

    monkeypatch.setattr(model, "evaluate_terms", terms)
    torch.set_float32_matmul_precision("medium")
    try:
        before = [backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), *precisions()]
        assert before[:2] == [True, "medium"]
        if fails:
            with pytest.raises(ZeroDivisionError):
                evaluate(model, batches(pixels))
        else:
            evaluate(model, batches(pixels))
        assert seen == [(False, False, *["ieee"] * len(OPERATIONS))]
        assert before == [backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), *precisions()]
    finally:
        torch.set_float32_matmul_precision("highest")


def test_full_precision_also_where_pytorchs_newer_flags_were_set():
    before = backends.cuda.matmul.fp32_precision
    backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with full_precision():
            assert precisions() == ["ieee"] * len(OPERATIONS)
        assert backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        backends.cuda.matmul.fp32_precision = before


def test_an_e_step_is_in_full_precision_too(monkeypatch):
    """Differences of energies do not survive rounding."""
    model, seen = vae(Bernoulli(), MCEM()), []
    monkeypatch.setattr(model.objective, "e_step", lambda *_: seen.append(precisions()) or True)
    model.e_step(torch.zeros(2, *SHAPE), torch.full((2,), -1), torch.arange(2))
    assert seen == [["ieee"] * len(OPERATIONS)]
