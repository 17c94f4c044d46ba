from typing import Annotated, Literal

import pytest
from annotated_types import Interval
from omegaconf import OmegaConf
from pydantic import PositiveInt

from vae_exp.config.schema import check_node
from vae_exp.errors import ConfigError


class Part:
    def __init__(self, rate: Annotated[float, Interval(ge=0, lt=1)] = 0.5) -> None:
        pass


class Whole:
    def __init__(
        self,
        shape: tuple[int, int],
        size: PositiveInt,
        sizes: list[PositiveInt] = [1],  # noqa: B006
        kind: Literal["one", "two"] = "one",
        part: Part | None = None,
        flag: bool = False,
    ) -> None:
        pass


def checked(**config):
    node = OmegaConf.create({"size": 3} | config)
    check_node(node, Whole, "whole", set_by_program={"whole": {"shape"}})
    return node


PART = {"_target_": f"{__name__}.Part"}


@pytest.mark.parametrize(
    "config",
    [{}, {"sizes": [2, 3]}, {"sizes": []}, {"kind": "two"}, {"part": None}, {"part": PART}, {"flag": True}],
    ids=str,
)
def test_what_the_annotations_allow_passes(config):
    checked(**config)


def test_values_become_what_the_annotation_makes_of_them():
    node = checked(size=1e6)
    assert node.size == 1_000_000
    assert isinstance(node.size, int)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"szie": 3}, r"whole\.szie: no such key\. Did you mean whole\.size\? Allowed: size"),
        ({"shape": [1, 2]}, r"whole\.shape: no such key"),
        ({"size": -3}, r"whole\.size=-3: .*greater than 0"),
        ({"size": 1.5}, r"whole\.size=1\.5: "),
        ({"size": "many"}, r"whole\.size=many: .*integer"),
        ({"size": True}, r"whole\.size=True"),
        ({"size": None}, r"whole\.size=None"),
        ({"size": "???"}, r"whole\.size: a value is needed"),
        ({"sizes": [2, 0]}, r"whole\.sizes=\[2, 0\]: .*greater than 0"),
        ({"sizes": 5}, r"whole\.sizes=5: .*list"),
        ({"kind": "three"}, r"whole\.kind=three: .*'one' or 'two'"),
        ({"part": {**PART, "rate": 1.0}}, r"whole\.part\.rate=1\.0: .*less than 1"),
        ({"part": {**PART, "rat": 0.1}}, r"whole\.part\.rat: no such key\. Did you mean whole\.part\.rate"),
        ({"part": "masking"}, r"whole\.part=masking: .*whole/part=masking"),
        ({"part": {"_target_": "no.such.Thing"}}, r"whole\.part\._target_: cannot import 'no\.such\.Thing'"),
    ],
    ids=str,
)
def test_what_they_do_not_allow_is_refused_by_name(config, message):
    with pytest.raises(ConfigError, match=message):
        checked(**config)


def test_a_missing_argument_is_named():
    with pytest.raises(ConfigError, match=r"whole\.size: a value is needed"):
        check_node(OmegaConf.create({}), Whole, "whole", set_by_program={"whole": {"shape"}})
