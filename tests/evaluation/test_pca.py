import math

import pytest
import torch

from vae_exp import load_run
from vae_exp.cli.evaluate import evaluate
from vae_exp.config.assembly import build_data
from vae_exp.evaluation.pca import principal_angles, principal_components


def columns(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_angles_of_known_planes():
    """The x-y plane and the same turned by 0.3 about the x axis share a line."""
    flat = columns([1, 0], [0, 1], [0, 0])
    turned = columns([1, 0], [0, math.cos(0.3)], [0, math.sin(0.3)])
    torch.testing.assert_close(principal_angles(flat, turned), torch.tensor([0, 0.3], dtype=torch.float64))
    upright = columns([0], [0], [2])
    torch.testing.assert_close(principal_angles(flat, upright), torch.tensor([math.pi / 2], dtype=torch.float64))


def test_angles_do_not_depend_on_the_basis():
    a, b = random(20, 4), random(20, 3, seed=1)
    angles = principal_angles(a, b)
    assert (angles[1:] >= angles[:-1]).all()
    torch.testing.assert_close(principal_angles(a @ random(4, 4, seed=2), b @ random(3, 3, seed=3)), angles)
    assert principal_angles(a, a @ random(4, 2, seed=4)).max() < 1e-12


@pytest.mark.parametrize("angle", [1e-9, 1e-3, 0.7, 0.8, math.pi / 2 - 1e-9])
def test_small_and_large_angles_are_exact(angle):
    line, other = columns([1], [0], [0]), columns([math.cos(angle)], [math.sin(angle)], [0])
    assert principal_angles(line, other).item() == pytest.approx(angle, rel=1e-6)


def test_components_of_a_known_ellipsoid():
    """Points on three orthogonal axes around a mean: the variances are 2/6 of the squared half-axes."""
    axes = torch.linalg.qr(random(5, 3)).Q
    half = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    mean = random(5, seed=1)
    x = mean + torch.cat([axes * half, -axes * half], 1).T
    pca = principal_components(x, 2)
    torch.testing.assert_close(pca.mean, mean)
    torch.testing.assert_close(pca.variances, torch.tensor([3, 4 / 3, 1 / 3, 0, 0], dtype=torch.float64))
    assert principal_angles(pca.components, axes[:, :2]).max() < 1e-7
    torch.testing.assert_close(pca.components.T @ pca.components, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(pca.squared_error(x), torch.tensor([0, 0, 1, 0, 0, 1], dtype=torch.float64))


def test_error_is_the_variance_left_out_and_no_other_subspace_has_less():
    x = random(300, 1, 4, 3) * torch.linspace(1, 3, 12, dtype=torch.float64).view(1, 4, 3)
    pca = principal_components(x, 5)
    error = pca.squared_error(x).mean()
    torch.testing.assert_close(error, pca.variances[5:].sum())
    centred = x.flatten(1) - pca.mean
    for seed in range(20):
        near = torch.linalg.qr(pca.components + 0.1 * random(12, 5, seed=seed)).Q
        assert (centred - centred @ near @ near.T).square().sum(1).mean() > error


@pytest.mark.usefixtures("few_digits")
def test_a_linear_autoencoder_finds_the_subspace(run):
    """As a user trains it, but on few images, all in a batch: nll is the squared error + 392·log π."""
    quick = ["samples=240000", "dataset.batch_size=400", "logger=none", "callbacks.figures=null"]
    outcome = run("+experiment=linear_ae", "architecture.latent_dim=2", *quick, "callbacks.evaluate.decades=0.1")
    assert outcome.status == 0, outcome.err
    loaded = load_run(outcome.directory)
    model, data = loaded.model, build_data(loaded.config)
    data.load(torch.device("cpu"))
    images = data.splits["train"].pixels / 255
    pca = principal_components(images, 2)
    origin = model.decode(torch.zeros(1, 2)).mean
    decoder = (model.decode(torch.eye(2)).mean - origin).flatten(1).T
    assert principal_angles(decoder, pca.components).max() < math.radians(5)
    error = outcome.results["train/nll"] - 392 * math.log(math.pi)
    assert error == pytest.approx(pca.squared_error(images).mean().item(), rel=0.005)
    found = evaluate(str(outcome.directory), split="train")
    assert found["squared_error"] == pytest.approx(error, rel=1e-4)
    assert found["pca_squared_error"] == pytest.approx(pca.squared_error(images).mean().item())
    angle = principal_angles(decoder, pca.components).max().rad2deg().item()
    assert found["largest_angle_to_pca"] == pytest.approx(angle, abs=0.05)
    assert found["largest_angle_to_pca_with_one_more"] <= found["largest_angle_to_pca"]
