"""A corruption from outside that does not keep its contract: one message, with the key and what is wrong."""

import pytest
from good_parts import GoodCorruption

from vae_exp.foreign import PartError


class Cropping(GoodCorruption):
    def forward(self, x):
        return x[..., 1:]


class Rounding(GoodCorruption):
    def forward(self, x):
        return (x > 0.5).long()


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
