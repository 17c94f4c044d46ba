import signal

import numpy as np
import pytest
import torch

import vae_exp
from vae_exp.cli.train import train_job
from vae_exp.config.overrides import parse, value_text
from vae_exp.errors import ConfigError, Interrupted, RunError
from vae_exp.network import MLP

TINY = ["samples=200", "network.hidden_sizes=[8]", "logger=none", "callbacks.figures=null", "touch=false"]
TINY += ["callbacks.evaluate.decades=0.3", "dataset.validation_size=100"]
pytestmark = pytest.mark.usefixtures("few_digits")


def files(folder):
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def test_a_sweep_leaves_the_commands_directory_and_knows_its_best_run(swept, tmp_path):
    sweep = vae_exp.sweep(TINY, seed=range(2), directory=tmp_path / "mine")
    assert files(sweep.path) == {file for file in files(swept) if not file.startswith("2")}
    assert list(sweep.table["seed"]) == ["0", "1"]
    best = sweep.best("validation/bound")
    assert best.metrics["validation/bound"] == sweep.table["validation/bound"].max()
    assert sweep.best("validation/nll").metrics["validation/nll"] == sweep.table["validation/nll"].min()
    assert best.encode("test").z.shape == (100, 20)
    assert len(sweep.plot().axes) == 1
    assert "2 of 2 jobs completed" in sweep._repr_html_()
    for metric, reason in [
        ("test/bound", r"no longer be that of unseen images. Use best\(\"validation/bound\"\)"),
        ("validation/kl", "not known which values are better"),
        ("validation/bond", r"no completed job has it. Allowed: validation/bound"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            sweep.best(metric)
    with pytest.raises(RunError, match="1 of 1 jobs failed"):
        vae_exp.sweep(TINY, **{"optimizer.lr": [1e9]})


def test_an_interrupted_sweep_is_saved_and_goes_on(monkeypatch, tmp_path):
    def interrupted(config):
        train_job(config)
        raise Interrupted(signal.SIGINT, "Interrupted; what was saved is kept. Go on with:\n  the command")

    with monkeypatch.context() as patch:
        patch.setattr("vae_exp.api.sweep.train_job", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"^Interrupted; all is saved\. Go on with:\n") as caught:
            vae_exp.sweep(TINY, seed=range(2), directory=tmp_path / "mine")
    assert [job.results["status"] for job in caught.value.result.jobs] == ["completed"]
    sweep = eval(str(caught.value).splitlines()[-1], {"vae_exp": vae_exp})
    assert sweep.path == tmp_path / "mine"
    assert [job.results["status"] for job in sweep.jobs] == ["completed", "completed"]
    assert sweep.best("validation/bound").resume("samples=300").metrics["samples"] == 300


def test_all_jobs_use_the_same_objects(tmp_path):
    images = torch.rand(60, 6, 5, generator=torch.Generator().manual_seed(0))
    words = ["samples=100", "dataset.batch_size=50", "logger=none", "callbacks.figures=null", "touch=false"]
    sweep = vae_exp.sweep(words, data=images, network=MLP([8]), seed=range(2), directory=tmp_path / "mine")
    first, second = (job.results["train/bound"] for job in sweep.jobs)
    assert first != second
    alone = vae_exp.train(*words, "seed=1", data=images, network=MLP([8]), directory=tmp_path / "alone")
    assert alone.metrics["train/bound"] == second
    best = sweep.best("train/bound")  # rebuilt of the objects
    assert best.metrics["train/bound"] == max(first, second)
    assert best.encode("test").z.shape == (12, 20)


@pytest.mark.parametrize(
    ("overrides", "lists", "message"),
    [
        ([], {"seed": 3}, r"seed=3: a list of values is needed: seed=\[3\]"),
        ([], {"seed": []}, "seed: has no value"),
        ([], {"seed": [object()]}, "a sweep varies numbers and texts, and object is an object. Call vae_exp.train"),
        ([], {"network": [MLP([8]), MLP([9])]}, "MLP is an object. Pass one for all jobs, network=…, or call"),
        ([], {"seed": MLP([8])}, "seed: takes no MLP. Objects are the values of network, likelihood"),
        (["hydra/launcher=joblib"], {"network": MLP([8])}, "hydra/launcher=joblib: its jobs run in other processes"),
        (["-m"], {}, "may pass only --config-dir"),
        (["resume=somewhere"], {}, "without -m"),
    ],
)
def test_a_mistake_is_an_exception_with_one_message(overrides, lists, message):
    with pytest.raises(ConfigError, match=message):
        vae_exp.sweep([*TINY, *overrides], **lists)


@pytest.mark.parametrize(
    "value",
    [
        3,
        -0.5,
        1e-9,
        True,
        None,
        "adam",
        "3",
        "true",
        "a,b",
        "it's ${x}",
        "",
        [1, [2]],
        {"std": 0.5},
        np.int64(4),
        np.float32(2),
    ],
)
def test_a_plain_value_is_itself_in_an_override(value):
    override = parse(f"key={value_text(value)}")
    assert not override.is_sweep
    assert override.value == value
    assert type(override.value) is not str or isinstance(value, str)
