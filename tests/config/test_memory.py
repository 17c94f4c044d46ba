import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from vae_exp.config.memory import check_memory, needed
from vae_exp.config.paths import CONFIG_DIR
from vae_exp.errors import UserError

QUICK = ["samples=200", "logger=none", "callbacks.figures=null"]
pytestmark = pytest.mark.usefixtures("few_digits")


def refused(outcome, *words):
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
    assert not (outcome.directory / "checkpoints" / "last.ckpt").exists()
    if (outcome.directory / "results.json").exists():
        assert outcome.results["status"] == "failed"


def test_memory_that_runs_out_is_one_message(run, monkeypatch):
    monkeypatch.setattr("vae_exp.training.fit.check_memory", lambda config: None)
    monkeypatch.setattr("vae_exp.architecture.VAE.weights", lambda *_: torch.empty(2**60))
    refused(run(*QUICK), "Out of memory", "dataset.batch_size")


def test_the_estimate_leaves_no_trace_and_is_near_what_is_allocated():
    config = composed("name=test", "network.hidden_sizes=[4000]")
    before = torch.get_rng_state()
    weights, batch = needed(config)
    assert torch.equal(before, torch.get_rng_state())
    parameters = 784 * 4000 * 2 + 4000 * 40 + 4000 * 20 + 4000 + 40 + 4000 + 784
    assert weights == 3 * 4 * parameters
    assert 4 * 100 * (784 + 2 * 4000) <= batch < 10 * 4 * 100 * (784 + 2 * 4000)
    check_memory(config, memory=weights + batch)
    with pytest.raises(UserError, match=r"network\.hidden_sizes=\[4000\]"):
        check_memory(config, memory=weights + batch - 1)


def composed(*overrides):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("config", overrides=[*overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    OmegaConf.resolve(config)
    return config
