"""An architecture from outside that does not keep its contract: one message, with the key and what is wrong."""

import pytest

from vae_exp.architecture import AE
from vae_exp.foreign import PartError


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
