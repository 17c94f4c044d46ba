from pathlib import Path

import pytest

from vae_exp.config.stored import Damaged, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("'1e3'", "1e3"),
        ("yes", True),
        (".inf", float("inf")),
        ("null", None),
        ("2020-01-01", "2020-01-01"),
        ("['a=${b}', {1: 2}]", ["a=${b}", {1: 2}]),
    ],
)
def test_stored_values_are_read_as_omegaconf_reads_them(text, value):
    assert parse_yaml(f"key: {text}\n", Path()) == {"key": value}


def test_what_is_read_twice_is_not_shared():
    first, second = (parse_yaml("keys: [1]\n", Path()) for _ in range(2))
    first["keys"].append(2)
    assert second == {"keys": [1]}


@pytest.mark.parametrize(
    "text", ["key: 1\nkey: 2", "a: &a 1\nb: *a", "key: !!binary aGk=", "[" * 5000, "key: ${a", "5"]
)
def test_other_texts_are_damaged(text):
    with pytest.raises(Damaged, match=r"config\.yaml: cannot be read: "):
        parse_yaml(text, Path("config.yaml"))
