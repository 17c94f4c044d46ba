import pytest
import torch

from vae_exp.errors import DataError
from vae_exp.foreign import PartError, is_foreign, is_foreign_name, reported
from vae_exp.likelihood import Bernoulli


class Mine(Bernoulli):
    pass


@pytest.mark.parametrize(("part", "foreign"), [(Bernoulli(), False), (Mine(), True), (torch.nn.Linear(1, 1), True)])
def test_the_module_of_its_class_says_where_a_part_is_from(part, foreign):
    assert is_foreign(part) == foreign


@pytest.mark.parametrize(
    ("name", "foreign"),
    [("vae_exp.network.MLP", False), ("vae_exp", False), ("vae_exp_extra.MLP", True), ("torch.optim.Adam", True)],
)
def test_a_name_from_outside_does_not_begin_with_ours(name, foreign):
    assert is_foreign_name(name) == foreign


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("too\n  wide"), r"^network: ValueError: too wide \(docs/own_parts\.md\)$"),
        (NotImplementedError(), r"^network: NotImplementedError \(docs/own_parts\.md\)$"),
    ],
)
def test_an_exception_becomes_one_line_and_is_kept_as_the_cause(error, message):
    with pytest.raises(PartError, match=message) as raised, reported("network"):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [DataError("a file is missing"), KeyboardInterrupt()])
def test_messages_for_users_and_interrupts_stay_as_they_are(error):
    with pytest.raises(type(error)) as raised, reported("network"):
        raise error
    assert raised.value is error
