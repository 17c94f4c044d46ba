import pytest
import torch

from vae_exp.architecture import AE, VAE
from vae_exp.evaluation.representation import (
    jacobian_norm,
    linear_probe_accuracy,
    nearest_neighbours_accuracy,
    share_of_saturated_units,
)
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import SGVBB


@pytest.fixture
def blobs():
    """Three classes on a line, far apart but for the third, which lies on both sides of the others."""
    torch.manual_seed(0)
    labels = torch.arange(300) % 3
    codes = torch.randn(300, 2) * 0.3
    codes[:, 0] += torch.tensor([0.0, 4.0, 0.0])[labels]
    codes[:, 1] += torch.where(labels == 2, torch.where(torch.arange(300) % 2 == 0, 6.0, -6.0), torch.zeros(300))
    return codes[:200], labels[:200], codes[200:], labels[200:]


def test_neighbours_tell_what_no_plane_separates(blobs):
    assert nearest_neighbours_accuracy(*blobs) == 1
    assert 0.6 < linear_probe_accuracy(*blobs) < 0.95


def test_what_a_plane_separates_is_found_at_any_scale(blobs):
    codes, labels, of, expected = blobs
    few, asked = labels < 2, expected < 2
    scale = torch.tensor([1e-3, 1e3])
    found = linear_probe_accuracy(codes[few] * scale, labels[few], of[asked] * scale, expected[asked])
    assert found == 1


def test_codes_without_information_are_right_by_chance():
    torch.manual_seed(0)
    codes, labels = torch.randn(2000, 3), torch.randint(4, (2000,))
    for measure in (nearest_neighbours_accuracy, linear_probe_accuracy):
        assert measure(codes[:1000], labels[:1000], codes[1000:], labels[1000:]) == pytest.approx(0.25, abs=0.06)


def test_no_code_is_its_own_neighbour():
    """Labels without any order: of those that are compared with themselves the right ones would vote for themselves."""
    torch.manual_seed(0)
    codes, labels = torch.randn(1500, 3, dtype=torch.float64), torch.randint(10, (1500,))
    distances = torch.cdist(codes, codes) + torch.diag(torch.full((1500,), torch.inf))
    votes = labels[distances.topk(5, largest=False).indices]
    expected = (votes.mode(1).values == labels).double().mean().item()
    assert nearest_neighbours_accuracy(codes, labels, codes, labels, among=True) == pytest.approx(expected)
    assert expected == pytest.approx(0.1, abs=0.03)
    first = nearest_neighbours_accuracy(codes, labels, codes[:250], labels[:250], among=True)
    assert first == pytest.approx((votes.mode(1).values == labels)[:250].double().mean().item())
    # more are asked for than there are to compare with
    more = nearest_neighbours_accuracy(codes[:90], labels[:90], codes[:400], labels[:400], among=True)
    assert 0 < more < 0.2


def test_the_jacobian_is_that_of_the_code(blobs):
    torch.manual_seed(0)
    x = torch.rand(6, 1, 3, 3, dtype=torch.float64)
    parts = {"network": MLP([5], init_std=None), "likelihood": Bernoulli()}
    ae = AE((1, 3, 3), latent_dim=4, latent_activation="sigmoid", **parts).double().eval()
    vae = VAE((1, 3, 3), 0, objective=SGVBB(), latent_dim=4, **parts).double().eval()
    for model in (ae, vae):
        jacobians = torch.func.vmap(torch.func.jacrev(lambda image, m=model: m.encode(image[None])[0]))(x)
        expected = jacobians.flatten(1).norm(dim=1).mean().item()
        assert jacobian_norm(model, x) == pytest.approx(expected)


def test_saturation_is_of_codes_between_zero_and_one():
    assert share_of_saturated_units(torch.tensor([[0.01, 0.5], [0.97, 0.94]])) == 0.5
    assert share_of_saturated_units(torch.tensor([[-0.01, 0.5]])) is None
