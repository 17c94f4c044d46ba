"""Overrides are read as Hydra reads them, in one place."""

import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vae_exp.cli.config_dir import flags_and_overrides, flags_first
from vae_exp.config.formats import renamed_override
from vae_exp.config.overrides import (
    check_overrides,
    key_of,
    parse,
    parse_argument,
    parse_possible,
    parse_sweep,
    quoted,
    values_by_key,
)
from vae_exp.errors import ConfigError

ROOT = Path(__file__).parents[1]
NO_OVERRIDES = [
    "a=b=c",
    "a='b",
    'a="b',
    "a=b'",
    "a='b' 'c'",
    "'a'=b",
    "a =b",
    "a=(b)",
    "a=[b",
    "a=ü",
    "a=~/b",
    "+~a=b",
    "+a",
    "a",
    "-m",
    "--multirun",
    "--config-dir=somewhere",
    "a=choice()",
    "a=" + "9" * 5000,
    "a=" + "[" * 5000 + "]" * 5000,
]
TEXTS = st.text(alphabet="ab.0/@+~='\"\\ ,[]{}:$()-1n", max_size=12)


@pytest.mark.parametrize(
    ("text", "sign", "key", "value_text", "value"),
    [
        ("a=b", "", "a", "b", "b"),
        ("a.b.0=1", "", "a.b.0", "1", 1),
        ("a/b=c", "", "a/b", "c", "c"),
        ("a= 5", "", "a", "5", 5),
        ("a=", "", "a", "", ""),
        ("a=''", "", "a", "''", ""),
        ("a=null", "", "a", "null", None),
        ("a='null'", "", "a", "'null'", "null"),
        ("a=True", "", "a", "True", True),
        ("a='b=c'", "", "a", "'b=c'", "b=c"),
        ('a="b=c"', "", "a", '"b=c"', "b=c"),
        (r"a='it\'s'", "", "a", r"'it\'s'", "it's"),
        (r"a=b\=c", "", "a", r"b\=c", "b=c"),
        (r"a=b\,c", "", "a", r"b\,c", "b,c"),
        ("a=[b,'c,d',[1]]", "", "a", "[b,'c,d',[1]]", ["b", "c,d", [1]]),
        ("a={b:{c:1}}", "", "a", "{b:{c:1}}", {"b": {"c": 1}}),
        ("a=${b}", "", "a", "${b}", "${b}"),
        ("+a=b", "+", "a", "b", "b"),
        ("++a=b", "++", "a", "b", "b"),
        ("+a@b=c", "+", "a@b", "c", "c"),
        ("a@=c", "", "a@", "c", "c"),
        ("~a", "~", "a", "", None),
        ("~a=b", "~", "a", "b", "b"),
        ("~a@b.c", "~", "a@b.c", "", None),
    ],
)
def test_an_override_is_taken_apart_as_hydra_does(text, sign, key, value_text, value):
    override = parse(text)
    assert (override.text, override.sign, override.key, override.value_text) == (text, sign, key, value_text)
    assert (override.value, override.values) == (value, [value])
    assert (override.adds, override.deletes) == (sign in ("+", "++"), sign == "~")
    assert not override.is_sweep
    assert override.signed_key == override.for_hydra().get_key_element()
    assert key_of(text) == key
    assert values_by_key([text]) == {key: value_text}


def test_the_package_is_apart_from_the_group():
    override = parse("+optimizer@hydra.callbacks=adam")
    assert (override.key_or_group, override.package) == ("optimizer", "hydra.callbacks")
    assert parse("optimizer=adam").package is None


def test_what_one_caller_changes_no_other_sees():
    parse("a=[1,2]").value.append(3)
    parse("a=1,2").value.list.append(3)
    assert parse("a=[1,2]").value == [1, 2]
    assert parse("a=1,2").choices() == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "choices", "values"),
    [
        ("a=1,2", ["1", "2"], [1, 2]),
        ("a='b,c',d", ["'b,c'", "d"], ["b,c", "d"]),
        ("a=[1,2],[3]", ["[1,2]", "[3]"], [[1, 2], [3]]),
        ("a={b:c},null", ["{b:c}", "null"], [{"b": "c"}, None]),
        ("+a@b=choice(c,d)", ["c", "d"], ["c", "d"]),
        ("a=shuffle(3,1,2)", ["3", "1", "2"], [3, 1, 2]),
        ("a=range(3)", ["0", "1", "2"], []),
        ("a=shuffle(range(3))", ["0", "1", "2"], []),
        ("a=range(0,1,0.5)", ["0.0", "0.5"], []),
    ],
)
def test_a_sweep_has_several_values(text, choices, values):
    override = parse(text)
    assert override.is_sweep
    assert not override.is_interval
    assert (override.choices(), override.choices(), override.values) == (choices, choices, values)


def test_an_interval_has_no_values_to_list():
    override = parse("a=tag(log,interval(1,10))")
    assert override.is_sweep
    assert override.is_interval
    assert override.value == IntervalSweep(start=1.0, end=10.0, tags={"log"})
    assert override.values == []
    with pytest.raises(HydraException):
        override.choices()


def test_an_options_glob_needs_the_options():
    assert parse("a=glob(*)").is_sweep
    assert parse("a=glob(*)").values == []


@pytest.mark.parametrize("text", NO_OVERRIDES, ids=lambda text: text[:20])
def test_what_hydra_cannot_parse_is_refused_by_name(text):
    with pytest.raises(ConfigError, match=re.escape(text)):
        parse(text)
    with pytest.raises(ConfigError, match=re.escape(text)):
        parse_argument(text)
    assert [override.text for override in parse_possible(["-m", text, "seed=3"])] == ["seed=3"]


@pytest.mark.parametrize("key", ["resume", "+resume", "sweep.resume", "trust"])
@pytest.mark.parametrize(
    "path", ["runs/lr=0.1", "my run (copy)", 'say "x"', "größe", "a,b", "[a]", "007", "1_0", "~/a"]
)
def test_paths_that_this_program_reads_need_no_quotes(key, path):
    assert parse_argument(f"{key}={path}").unquoted == path
    assert parse_argument(f"{key}={quoted(path)}").unquoted == path
    assert parse_argument(f"{key}={path}").key == key.lstrip("+")


def test_only_null_without_quotes_is_no_path():
    assert parse_argument("resume=null").unquoted is None
    assert parse_argument("resume='null'").unquoted == "null"
    assert parse_argument("~resume").unquoted is None
    assert parse_argument(r"resume='it\'s'").unquoted == "it's"
    with pytest.raises(ConfigError):
        parse_argument("start_from=runs/lr=0.1")


def test_flags_between_overrides_and_their_values_are_no_overrides():
    arguments = flags_first(["seed=3", "--multirun", "~head", "--config-dir", "a=b", "+c=d", "-cn", "config"])
    flags, overrides = flags_and_overrides(arguments)
    assert flags == ["--multirun", "--config-dir", "a=b", "-cn", "config"]
    assert overrides == ["seed=3", "~head", "+c=d"]


@given(st.text(max_size=20))
def test_a_quoted_text_is_that_text(text):
    assert parse(f"a={quoted(text)}").value == text
    assert parse("+b=1").with_value(quoted(text)) == f"+b={quoted(text)}"


@given(TEXTS)
def test_any_text_is_refused_or_read_as_hydra_reads_it(text):
    try:
        (hydra,) = OverridesParser.create().parse_overrides([text])
    except HydraException:
        with pytest.raises(ConfigError):
            parse(text)
        return
    override = parse(text)
    assert override.signed_key == hydra.get_key_element()
    assert override.key == key_of(text)
    if "=" in text:
        assert override.value_text == hydra.get_value_string().lstrip()
        assert parse(override.with_value(override.value_text)).value == override.value


def test_records_that_are_damaged_can_be_shown():
    assert values_by_key(["seed=3", "+name=a=b", "~head", "seed=4"]) == {"seed": "4", "name": "a=b", "head": ""}
    assert key_of("not an override") == "not an override"


def test_the_command_line_counts_more_than_the_params_of_a_sweep():
    overrides = parse_sweep({"seed": "0,1", "+a": [1, 2]}, ["seed=3,4", "name=x", "name=y"])
    assert [override.text for override in overrides] == ["seed=3,4", "+a=[1, 2]", "name=y"]
    assert parse_sweep(None, []) == []
    with pytest.raises(ConfigError, match="seed="):
        parse_sweep({"seed": "'0"}, [])


@pytest.mark.parametrize(
    "text", ["network=[mlp,conv]", "+network=[mlp]", "network@x=[mlp]", "network= [mlp]", "~part.size"]
)
def test_lists_of_choices_and_deleted_values_are_refused(text):
    config = OmegaConf.create({"part": {"_target_": "x"}})
    with pytest.raises(ConfigError, match=r"is a list|a value is needed"):
        check_overrides(config, [text])


@pytest.mark.parametrize("text", ["network='[mlp]'", "network.sizes=[1]", "~part", "callbacks=[a]", "name=a=b"])
def test_other_overrides_are_not_refused(text):
    check_overrides(OmegaConf.create({"part": {"_target_": "x"}}), [text])


@pytest.mark.parametrize("target", ["vae_exp.network.MLP", "builtins.dict", "no.such.Part"])
def test_a_value_that_the_part_has_no_argument_for_may_be_deleted(target):
    config = OmegaConf.create({"part": {"_target_": target}})
    if target == "vae_exp.network.MLP":
        check_overrides(config, ["~part.root"])
        with pytest.raises(ConfigError, match=r"^part\.tied: a value is needed"):
            check_overrides(config, ["~part.tied"])
    else:  # nobody can say which arguments it has
        with pytest.raises(ConfigError, match=r"^part\.root: a value is needed"):
            check_overrides(config, ["~part.root"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("architecture.supervised=True", "head=classifier"),
        ("architecture.supervised= false", "head=none"),
        ("architecture.supervised='true'", "architecture.supervised='true'"),
        ("+logger.a._target_='vae_exp.logger.WandB'", "+logger.a._target_=vae_exp.training.loggers.wandb.WandB"),
        ("_target_ is no override", "_target_ is no override"),
    ],
)
def test_an_old_override_is_renamed_however_it_is_written(old, new):
    assert renamed_override(old) == new


@pytest.mark.parametrize("folder", ["vae_exp", "hydra_plugins"])
def test_no_other_module_takes_overrides_apart(folder):
    by_hand = re.compile(r"OverridesParser|lstrip\(\"[+~]")
    files = [file for file in (ROOT / folder).rglob("*.py") if by_hand.search(file.read_text(encoding="utf-8"))]
    assert [file.name for file in files if file != ROOT / "vae_exp" / "config" / "overrides.py"] == []
