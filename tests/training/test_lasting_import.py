import gc
import sys
from importlib import import_module

import torchmetrics  # noqa: F401 (it would import torch, which a test hides)

from vae_exp.training.lasting_import import lasting_import


def test_what_is_imported_first_is_hidden_from_the_garbage_collector(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    before = gc.get_freeze_count()
    with lasting_import():
        assert not gc.isenabled()
        held = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(held)


def test_a_process_that_has_imported_torch_keeps_its_garbage_collector():
    before = gc.get_freeze_count()
    with lasting_import():
        assert gc.isenabled()
        held = [[] for _ in range(1000)]
    assert gc.get_freeze_count() < before + len(held)


def test_whoever_imports_scipy_signal_later_gets_all_of_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("scipy.signal")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "torch")
    with lasting_import():
        assert "scipy.signal" not in sys.modules
    assert len(import_module("scipy.signal").convolve([1, 2], [1, 1])) == 3
