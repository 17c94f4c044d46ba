"""What a model is given from Python: converted where that is harmless, else refused with the shape that is wanted."""

import numpy as np
import pytest
import torch

from vae_exp.architecture import AE, M2, VAE, Classifier, Stacked
from vae_exp.errors import InputError, UserError
from vae_exp.likelihood import Bernoulli, unvalidated
from vae_exp.network import MLP
from vae_exp.objective import SGVBB

SHAPE = (1, 4, 3)
PARTS = {"network": MLP([5]), "likelihood": Bernoulli(), "latent_dim": 2}


@pytest.fixture(scope="module")
def vae():
    return VAE(SHAPE, 10, objective=SGVBB(), **PARTS).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def x():
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))


CONVERTED = {
    "float64": lambda x: x.double(),
    "numpy": lambda x: x.numpy(),
    "numpy float64": lambda x: x.double().numpy(),
    "numpy, the other byte order": lambda x: x.numpy().astype(">f4"),
    "numpy, reversed twice": lambda x: x.numpy()[::-1].copy()[::-1],
}


@pytest.mark.parametrize("convert", CONVERTED.values(), ids=CONVERTED)
def test_other_floats_and_arrays_give_the_same(vae, x, convert):
    torch.testing.assert_close(vae.encode(convert(x)), vae.encode(x), rtol=0, atol=0)
    torch.testing.assert_close(vae.posterior(convert(x)).stddev, vae.posterior(x).stddev, rtol=0, atol=0)
    assert vae.bound(convert(x)).shape == (3,)
    z = torch.rand(2, 3, 2)
    torch.testing.assert_close(vae.decode(convert(z)).mean, vae.decode(z).mean, rtol=0, atol=0)


REFUSED = {
    "uint8": (lambda x: (255 * x).byte(), "is uint8, but images"),
    "int64": (lambda x: x.long(), "is int64, but images"),
    "without channels": (lambda x: x[:, 0], "are needed, not (3, 4, 3)"),
    "without a batch": (lambda x: x[0], "are needed, not (1, 4, 3)"),
    "transposed": (lambda x: x.mT, "are needed, not (3, 1, 3, 4)"),
    "a batch too many": (lambda x: x[None], "are needed, not (1, 3, 1, 4, 3)"),
    "sparse": (lambda x: x.to_sparse(), "are needed, dense, not sparse_coo"),
    "NaN": (lambda x: x / 0, "there is NaN or infinity among the pixels"),
    "no array": (lambda x: "digits.png", "as a tensor or an array, not str"),
}


@pytest.mark.parametrize("method", ["encode", "bound", "posterior", "classify"])
@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_images_of_another_shape_or_type_are_refused_by_every_method_alike(vae, x, method, change, message):
    model = Classifier(SHAPE, 10, AE(SHAPE, **PARTS)) if method == "classify" else vae
    with pytest.raises(InputError) as refused:
        getattr(model, method)(change(x))
    assert str(refused.value).startswith("x: ")
    assert message in str(refused.value)
    assert "images (B, 1, 4, 3) in [0, 1]" in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (torch.rand(2), "z: latents (…, B, 2) are needed, not (2,)"),
        (torch.rand(3, 5), "z: latents (…, B, 2) are needed, not (3, 5)"),
        (torch.ones(3, 2, dtype=torch.int64), "z: is int64, but latents (…, B, 2) are floats"),
    ],
)
@pytest.mark.parametrize("make", [lambda: AE(SHAPE, **PARTS), lambda: VAE(SHAPE, 0, objective=SGVBB(), **PARTS)])
def test_so_are_latents(make, z, message):
    with pytest.raises(InputError) as refused:
        make().decode(z)
    assert str(refused.value) == message


def test_labels_are_held_against_the_images_and_the_classes(x):
    cvae = VAE(SHAPE, 10, objective=SGVBB(), conditional=True, **PARTS)
    m2 = M2(SHAPE, 10, objective=SGVBB(), **PARTS)
    for y in (np.array([1, 2, 3], dtype=np.int32), [1, 2, 3], torch.tensor([1, 2, 3], dtype=torch.uint8)):
        assert torch.equal(cvae.encode(x, y), cvae.encode(x, torch.tensor([1, 2, 3])))
    assert m2.encode(x, torch.full((3,), -1)).shape == (3, 2)
    for y, message in (
        (torch.tensor([1, 2]), "y: labels (3,) are needed, not (2,)"),
        (torch.eye(10, dtype=torch.int64)[:3], "y: labels (3,) are needed, not (3, 10)"),
        (torch.rand(3), "y: is float32, but labels (3,) are integers"),
        (torch.tensor([1, 2, 10]), "y: labels are 0 to 9; there are others"),
        (torch.tensor([1, 2, -1]), "y: labels are 0 to 9; there are others"),
    ):
        for method in (cvae.encode, cvae.bound):
            with pytest.raises(InputError) as refused:
                method(x, y)
            assert str(refused.value) == message


@pytest.mark.parametrize("y", [[0, 3, -1], [0, 3, 10]])
def test_so_are_those_of_the_terms_unless_they_are_trusted(x, y):
    """On a GPU a label that does not exist ends the process, by an assertion of the device."""
    supervised = Classifier(SHAPE, 10, AE(SHAPE, **PARTS))
    stacked = Classifier(SHAPE, 10, Stacked(SHAPE, Bernoulli(), sizes=[4]))
    cvae = VAE(SHAPE, 10, objective=SGVBB(), conditional=True, **PARTS)
    for model in (supervised, stacked, cvae, *([M2(SHAPE, 10, objective=SGVBB(), **PARTS)] if max(y) == 10 else [])):
        with pytest.raises(UserError, match="y: labels are 0 to 9"):
            model.terms(x, torch.tensor(y))
        assert model.terms(x, torch.tensor([0, 3, 9]))
        with unvalidated(), pytest.raises((RuntimeError, IndexError)):  # torch's own
            model.terms(x, torch.tensor(y))


@pytest.mark.parametrize("n", [-1, 2.5, "3", True, None])
def test_a_number_of_samples_is_a_whole_one(vae, n):
    with pytest.raises(InputError, match="a whole number is needed, 0 or more"):
        vae.sample(n)


def test_pixels_without_a_density_are_named_and_leave_the_model_as_it_was(x):
    vae = VAE(SHAPE, 0, objective=SGVBB(), **PARTS).train()
    with pytest.raises(InputError, match="divide pixels of 0 to 255 by 255"):
        vae.bound(255 * x)
    assert vae.training
