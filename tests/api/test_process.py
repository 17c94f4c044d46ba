import asyncio
import logging
import logging.config
import os
import random
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from vae_exp.api.process import SETTINGS, unchanged_process
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.errors import RunError


def state():
    """What a caller can see of the process."""
    root = logging.getLogger()
    loggers = [root, *(entry for entry in root.manager.loggerDict.values() if isinstance(entry, logging.Logger))]
    return {
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "generators": [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()],
        "torch": [read() for read, _, _ in SETTINGS] + [torch.get_num_threads(), torch.get_default_device()],
        "cudnn": [torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32],
        "logging": {log: (log.level, log.disabled, log.propagate, [*log.handlers]) for log in loggers},
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg),
        "warnings": [*warnings.filters],
        "python": ([*sys.path], sys.excepthook, sys.exit, sys.stdout, sys.stderr),
    }


def change_everything(folder):
    """Do what training and the libraries around it do to a process."""
    os.environ["PL_GLOBAL_SEED"] = "1"
    os.environ.pop("HOME", None)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = True
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    torch.autograd.set_detect_anomaly(True)
    warnings.simplefilter("ignore")
    logging.getLogger("of.the.caller").setLevel(logging.ERROR)
    sys.path.append("nowhere")
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        HydraConfig.instance().set_config(compose("config", return_hydra_config=True))
    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": {"file": {"class": "logging.FileHandler", "filename": folder / "vae_exp.log"}},
            "root": {"level": "INFO", "handlers": ["file"]},
            "disable_existing_loggers": False,
        }
    )


def change_and_fail(folder):
    change_everything(folder)
    raise ValueError("inside")


def test_nothing_outlives_the_call_even_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    logging.getLogger("of.the.caller")
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads())
    try:
        before = state()
        with pytest.raises(ValueError, match="inside"), unchanged_process():
            change_and_fail(tmp_path)
        after = state()
        after["logging"] = {log: after["logging"][log] for log in before["logging"]}  # there may be new loggers
        assert after == before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)


def test_inside_pytorch_is_as_a_command_finds_it():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.no_grad(), unchanged_process():
            assert [read() for read, _, _ in SETTINGS[:-1]] == [default for _, _, default in SETTINGS[:-1]]
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_callers_log_file_is_neither_closed_nor_emptied(tmp_path):
    handler = logging.FileHandler(tmp_path / "mine.log", mode="w")
    log = logging.getLogger("of.the.caller")
    log.addHandler(handler)
    try:
        log.warning("before")
        with unchanged_process():
            change_everything(tmp_path)
            logging.getLogger("vae_exp").info("of the run")
        log.warning("after")
    finally:
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / "mine.log").read_text() == "before\nafter\n"
    assert "of the run" in (tmp_path / "vae_exp.log").read_text()


def test_threads_take_turns_and_a_call_inside_of_a_call_is_refused():
    inside, most = 0, 0

    def call():
        nonlocal inside, most
        with unchanged_process():
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.02)
            inside -= 1

    async def calls():
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(3)))

    asyncio.run(calls())
    assert (inside, most) == (0, 1)
    with unchanged_process(), pytest.raises(RunError, match="cannot be called by a part of a run"), unchanged_process():
        pass
