import pytest
import torch

from vae_exp.corruption import GaussianNoise, Masking, SaltAndPepper


@pytest.fixture
def x():
    torch.manual_seed(0)
    return 0.25 + 0.5 * torch.rand(200, 1, 28, 28)


def test_masking_sets_a_share_to_zero_and_keeps_the_rest(x):
    corrupted = Masking(0.4)(x)
    masked = corrupted == 0
    assert masked.float().mean().item() == pytest.approx(0.4, abs=0.01)
    assert torch.equal(corrupted[~masked], x[~masked])


def test_salt_and_pepper_sets_half_of_a_share_to_each_end(x):
    corrupted = SaltAndPepper(0.4)(x)
    assert (corrupted == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (corrupted == 1).float().mean().item() == pytest.approx(0.2, abs=0.01)
    kept = (corrupted != 0) & (corrupted != 1)
    assert torch.equal(corrupted[kept], x[kept])


def test_gaussian_noise_has_the_std_asked_for(x):
    noise = GaussianNoise(0.3)(x) - x
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
