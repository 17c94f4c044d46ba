"""The pages for readers: their links, their commands and keys, and the site that is made of them."""

import re
import sys
from functools import wraps
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
from documents import PAGES, ROOT, commands, links, slugs
from hydra.core.override_parser.types import IntervalSweep
from yamls import GROUPS, choices, composed

from vae_exp.cli.main import COMMANDS
from vae_exp.config.assembly import check_config
from vae_exp.config.overrides import parse_argument
from vae_exp.dataset.mnist import MNIST

EXAMPLES = re.compile("my_parts|my_conf|my_package|my_laplace|--config-dir")
"""Parts of the reader's own, whose commands tests/program/test_own_project.py runs."""

FILES = {"dataset=folder": "images", "dataset=arrays": "images.npz"}
"""The files of the fixture `small_data` in the place of the reader's."""

PATH = "dataset.source.path="

NOT_HERE = (
    "dataset=(celeba|cifar10|omniglot|svhn)",  # downloaded
    "label_column=kind|dataset=folder.*dataset.labels=300",  # the reader's own files, where ours have fewer labels
    "objective=wake_sleep.*network.init_std=0.1",  # its first updates lead far away, and it needs many to return
    "start_from=",  # a run of the reader
)

SHORT = ["samples=24", "logger=none", "callbacks.evaluate.images=10", "callbacks.evaluate.train_images=10"]
"""Words after those of a command."""


def of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for file, anchor in links(page):
        assert file.exists(), file
        assert not anchor or anchor in slugs(file), f"{file}#{anchor}"


def every_command():
    return {(*words,): of(page) for page in PAGES for words in commands(page)}


def one_job(words):
    """The overrides of one job, and of the run that `resume=` names."""
    flags = ("-m", "--cfg", "job", "--help", "--resolve")
    for override in map(parse_argument, (word for word in words if word not in flags)):
        if override.key == "resume":
            yield from overrides_of_run(Path(str(override.unquoted)), words)
        elif override.key not in ("sweep.resume", "trust"):
            yield value_of(override)


def value_of(override):
    """The text of an override, with the first of the values of a sweep."""
    if not override.is_sweep:
        return override.text
    swept = override._parsed.value()
    first = str(swept.start) if isinstance(swept, IntervalSweep) else override.choices()[0]
    return override.with_value(first)


def overrides_of_run(run, words):
    if any(word.startswith("callbacks.stop") for word in words):
        yield from ("callbacks/stop=patience", "dataset.validation_size=10000")
    name = run.parts[1] if len(run.parts) > 1 else ""  # behind outputs/ or multirun/
    dataset, _, architecture = name.rpartition("_")
    if name in choices("experiment"):
        yield f"+experiment={name}"
    elif dataset:
        yield from (f"dataset={dataset}", f"architecture={architecture}")


def merged(commands):
    """Fewer commands with the same overrides: composing takes long, so values of the same parts are set together."""
    bins = {}
    for overrides in commands:
        parts = tuple(word for word in overrides if word[0] in "+~" or word.partition("=")[0] in GROUPS)
        for key, text in ((word.partition("=")[0], word) for word in overrides if word not in parts):
            rows = bins.setdefault(parts, [])
            row = next((row for row in rows if row.setdefault(key, text) == text), None)
            if row is None:
                rows.append({key: text})
        bins.setdefault(parts, [{}])
    return [(*parts, *row.values()) for parts, rows in bins.items() for row in rows]


def training_commands(data):
    """The overrides of one job of every command that trains, with the files of `small_data`."""
    for words in every_command():
        if {*words[:1]} & {*COMMANDS[1:]} or EXAMPLES.search(" ".join(words)) or {*words} & {"-sc", "--help"}:
            continue
        overrides = [word for word in one_job(words[words[:1] == ("train",) :]) if not word.startswith(PATH)]
        yield (*overrides, *(f"{PATH}{data / file}" for part, file in FILES.items() if part in overrides))


def test_every_training_command_has_keys_that_exist_and_values_that_are_allowed(small_data):
    found = {*training_commands(small_data)}
    assert len(found) > 50
    for overrides in merged(sorted(found)):
        try:
            check_config(composed(*overrides))
        except Exception as error:
            raise AssertionError(" ".join(overrides)) from error


@pytest.mark.slow
def test_every_training_command_trains(run, small_data, monkeypatch):
    """A few updates of one job."""
    digits = MNIST("").load()
    monkeypatch.setattr(MNIST, "load", lambda self: digits)
    failed = {}
    for overrides in sorted({*training_commands(small_data)}):
        if not re.search("|".join(NOT_HERE), " ".join(overrides)):
            outcome = run(*overrides, *SHORT)
            if outcome.status:
                failed[overrides] = outcome.err
    assert failed == {}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("train", "report", "list")])
def test_every_other_command_has_arguments_that_exist_and_values_that_are_allowed(command, monkeypatch, capsys):
    module = import_module(f"vae_exp.cli.{command}")
    function = getattr(module, command)
    called = []

    @wraps(function)
    def recorded(**arguments):
        signature(function).bind(**arguments)
        called.append(arguments)

    monkeypatch.setattr(module, command, recorded)
    monkeypatch.setattr(module, "_show", lambda result: None, raising=False)
    found = [words for words in every_command() if len(words) > 1 and words[0] == command and "--help" not in words]
    for words in found:
        values = [re.sub(r"=([^|\[]*)\|.*", r"=\1", word) for word in words[1:]]
        monkeypatch.setattr(sys, "argv", ["vae_exp", *values])
        module.main()
    assert len(called) == len(found) > 0, capsys.readouterr().err


@pytest.mark.slow
def test_every_other_command_works(trained, swept, command, tmp_path):
    """On a small run and a small sweep in the places of the reader's."""
    places = {"run=multirun": f"run={swept}/0", "run=": f"run={trained}", "outputs": tmp_path}
    places |= dict.fromkeys(("multirun", "placeholder"), swept)
    found = [words for words in every_command() if words[:1] and words[0] in COMMANDS[1:] and len(words) > 1]
    assert {words[0] for words in found} == {*COMMANDS[1:]}
    for words in found:
        arguments = [word for word in words[1:] if not word.startswith("trust=")]
        for start, place in places.items():
            arguments = [place if str(word).startswith(start) else word for word in arguments]
        status, said = command(import_module(f"vae_exp.cli.{words[0]}"), *arguments)
        assert status == 0, (words, said.err)


def test_report_and_list_are_given_folders():
    for words in every_command():
        if len(words) > 1 and words[0] == "report":
            assert len([word for word in words[1:] if not word.startswith("trust=")]) == 1


def test_every_script_that_a_page_names_exists():
    for page in PAGES:
        for name in re.findall(r"(?<!tests/)\bscripts/[\w/]+\.py", page.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), (of(page), name)
