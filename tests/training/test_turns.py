"""Functions in threads that take turns: one at a time, each with its own surroundings, answered together."""

import logging
import os
import random
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_exp.likelihood import is_validated, unvalidated
from vae_exp.training.turns import Place, current_place, run_in_turns


def run(*functions, answer=lambda requests: dict.fromkeys(requests)):
    places = [Place(function, (sys.stdout, sys.stderr)) for function in functions]
    ended = []
    assert run_in_turns(places, answer, ended.append) is None
    assert set(ended) == set(places)
    return [place.result for place in places]


def test_one_runs_at_a_time_and_all_are_answered_together():
    events, asked = [], []

    def function(name, times):
        for i in range(times):
            events.append((name, i))
            assert current_place().meet((name, i)) == len(asked)
        return name

    def answer(requests):
        asked.append(sorted(requests.values()))
        return dict.fromkeys(requests, len(asked))

    assert run(lambda: function("a", 3), lambda: function("b", 1), answer=answer) == ["a", "b"]
    assert events == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]
    assert asked == [[("a", 0), ("b", 0)], [("a", 1)], [("a", 2)], []]
    assert current_place() is None


def draw():
    return random.random(), np.random.random(), torch.rand(()).item()


def test_each_has_the_random_numbers_that_it_has_alone():
    def function(seed):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        drawn = []
        for _ in range(3):
            drawn.append(draw())
            if place := current_place():
                place.meet("next")
        return drawn

    assert run(lambda: function(1), lambda: function(2)) == [function(1), function(2)]


def test_each_has_its_own_surroundings_and_those_of_the_process_come_back(tmp_path):
    before = Path.cwd(), logging.root.handlers[:], is_validated(), warnings.filters

    def function(name):
        (tmp_path / name).mkdir()
        os.chdir(tmp_path / name)
        handler = logging.NullHandler()
        logging.root.addHandler(handler)
        with unvalidated(), warnings.catch_warnings():
            current_place().meet("inside")
            seen = Path.cwd().name, handler in logging.root.handlers, is_validated()
        current_place().meet("outside")
        return *seen, is_validated()

    def longer():
        with unvalidated():
            for _ in range(4):
                current_place().meet("inside")
            return is_validated()

    assert run(lambda: function("a"), lambda: function("b"), longer) == [
        ("a", True, False, True),
        ("b", True, False, True),
        False,
    ]
    assert (Path.cwd(), logging.root.handlers, is_validated(), warnings.filters) == before


def test_an_exception_as_an_answer_is_raised_in_the_function():
    def function():
        with pytest.raises(OSError, match="full"):
            current_place().meet("anything")
        return "went on"

    assert run(function, answer=lambda requests: dict.fromkeys(requests, OSError("full"))) == ["went on"]


def test_a_signal_reaches_those_that_have_started_and_the_others_do_not_start():
    received = []

    def function():
        place = current_place()
        place.listen(received.append)
        os.kill(os.getpid(), signal.SIGINT)
        place.meet("anything")
        return received[0]

    before = signal.getsignal(signal.SIGINT)
    places = [Place(each, (sys.stdout, sys.stderr)) for each in (function, lambda: "never")]
    assert run_in_turns(places, lambda requests: dict.fromkeys(requests), lambda place: None) == signal.SIGINT
    assert [place.result for place in places] == [signal.SIGINT, None]
    assert signal.getsignal(signal.SIGINT) == before
