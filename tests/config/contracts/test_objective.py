"""An objective from outside that does not keep its contract: one message, with the key and what is wrong."""

import pytest
from good_parts import GoodObjective

from vae_exp.foreign import PartError


class OtherNames(GoodObjective):
    terms = ("nll", "rate")


class Nameless(GoodObjective):
    terms = ()


class Mean(GoodObjective):
    def forward(self, x, encode, p, decode):
        return {name: term.mean() for name, term in super().forward(x, encode, p, decode).items()}


class Tuple(GoodObjective):
    def forward(self, x, encode, p, decode):
        return tuple(super().forward(x, encode, p, decode).values())


class Frozen(GoodObjective):
    def forward(self, x, encode, p, decode):
        return {name: term.detach() for name, term in super().forward(x, encode, p, decode).items()}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (OtherNames, r"the names of its terms must be \['nll', 'rate'\], as in OtherNames\.terms, not \['kl', 'nll'\]"),
        (Nameless, r"Nameless\.terms must be a tuple of names, and is \(\)"),
        (Mean, r"Mean\(x, encode, p, decode\)\['nll'\] must be a tensor of floats \(2,\), and its shape is \(\)"),
        (Tuple, r"Tuple\(x, encode, p, decode\) must be a dict of terms, and is a tuple"),
        (Frozen, r"the sum of its terms must have a gradient for the decoder, and has none"),
    ],
)
def test_an_objective_that_breaks_its_contract(check, part, message):
    with pytest.raises(PartError, match=rf"^objective: .*{message}.*\(docs/own_parts\.md\)$"):
        check("objective", part)
