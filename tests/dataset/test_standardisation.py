import math

import numpy as np
import pytest
import torch

from vae_exp.dataset import Dataset, Images
from vae_exp.dataset.arrays import Arrays
from vae_exp.dataset.standardisation import fit_standardisation, restored
from vae_exp.errors import DataError

CPU = torch.device("cpu")
GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(200, 3)) * [1, 50, 0.01] + [0, 1e9, -2]
"""The middle column loses its digits as float32, unless it is standardised before."""


def dataset(tmp_path, rows=ROWS, **arguments):
    np.savez(tmp_path / "x.npz", x_train=rows[:150], x_test=rows[150:])
    data = Dataset(Arrays(str(tmp_path / "x.npz"), standardise=True), **arguments)
    data.load(CPU)
    return data


def test_pixels_have_the_mean_and_deviation_of_the_training_images(tmp_path):
    data = dataset(tmp_path, validation_size=30)
    train = data.splits["train"].pixels
    assert (len(train), train.dtype) == (120, torch.float32)
    torch.testing.assert_close(train.mean(0), torch.zeros(1, 1, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(1, 1, 3), atol=1e-5, rtol=0)
    for split in ("validation", "test"):  # these are scaled by the same numbers
        assert 0.05 < data.splits[split].pixels.mean(0).abs().max() < 0.6


def test_it_is_exact_and_can_be_inverted(tmp_path):
    data = dataset(tmp_path)
    expected = (ROWS[150:] - ROWS[:150].mean(0)) / ROWS[:150].std(0)
    np.testing.assert_allclose(data.splits["test"].pixels.flatten(1), expected, atol=1e-6)
    back = data.standardisation.invert(data.splits["test"].pixels).flatten(1)
    np.testing.assert_allclose(back, ROWS[150:], rtol=1e-7, atol=1e-5)


def test_the_jacobian_gives_densities_of_the_original_units(tmp_path):
    data = dataset(tmp_path)
    std = torch.from_numpy(ROWS[:150].std(0))
    mean = torch.from_numpy(ROWS[:150].mean(0))
    x = torch.from_numpy(ROWS[150:])
    of_original = torch.distributions.Normal(mean, std).log_prob(x).sum(1)
    of_standardised = torch.distributions.Normal(0, 1).log_prob(data.splits["test"].pixels.double().flatten(1)).sum(1)
    torch.testing.assert_close(of_standardised + data.log_jacobian, of_original, atol=1e-5, rtol=0)
    assert data.evaluation_batches("test", 10).log_jacobian == data.log_jacobian


def test_it_is_kept_as_plain_tensors(tmp_path):
    standardisation = dataset(tmp_path).standardisation
    again = restored(standardisation.state(), (1, 1, 3))
    assert torch.equal(again.std, standardisation.std)
    assert again.log_jacobian == standardisation.log_jacobian
    assert restored(None, (1, 1, 3)) is None
    fine = torch.ones(1, 1, 3, dtype=torch.float64)
    for std in ("x", fine[..., :2], fine.float(), -fine, fine.to_sparse()):
        assert restored({"mean": fine, "std": std}, (1, 1, 3)) is None


@pytest.mark.parametrize(
    ("shape", "constant", "named"),
    [((1, 1, 4), (..., 2), "1 columns are constant"), ((1, 2, 2), (..., 1, 0), "1 pixels (channel, row, column)")],
)
def test_a_constant_pixel_is_refused_by_its_place(shape, constant, named):
    pixels = torch.rand(9, *shape, generator=torch.Generator().manual_seed(0))
    pixels[constant] = 0.1
    with pytest.raises(DataError) as refused:
        fit_standardisation(Images(pixels, torch.zeros(9)))
    assert named in str(refused.value)
    assert "standard deviation: 2 (counted" in str(refused.value) or "(0, 1, 0)" in str(refused.value)


def test_without_it_nothing_is_added(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    data = Dataset(Arrays(str(tmp_path / "x.npy")))
    data.load(CPU)
    assert data.standardisation is None
    assert math.copysign(1, data.log_jacobian) == 1
    assert data.log_jacobian == 0
