"""Overrides of a stored run or sweep that are replayed. (Those that are refused: tests/program/hostile.)"""

import pytest

from vae_exp.config.replay import check_replayed
from vae_exp.config.trust import Trust


@pytest.mark.parametrize(
    "word",
    [
        "samples=1e6",
        "+experiment=mnist_vae",
        "architecture/corruption=masking",
        "+architecture/corruption=masking",
        "network.hidden_sizes=[500,200]",
        "callbacks.figures=null",
        "callbacks.evaluate={_target_:vae_exp.training.evaluation.Evaluate,decades:2}",
        "+callbacks.stop={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:validation/bound}",
        "~callbacks.figures",
        "start_from=/some/where/else",
        "name='two words, (1)'",
        "logger.tags=[a,b]",
        "stages={one:['samples=3'],two:['start_from={one}']}",
        "stages=null",
        "optimizer._partial_=true",
    ],
)
def test_words_that_choose_and_set_are_replayed(word):
    check_replayed([word], Trust(), "overrides.yaml")


@pytest.mark.parametrize(
    "word",
    [
        "seed=range(3)",
        "seed=shuffle(range(3))",
        "network=mlp,conv",
        "optimizer.lr=tag(log,interval(0.003,0.3))",
        "hydra.mode=MULTIRUN",
        "hydra/launcher=ray",
        "hydra.launcher.num_gpus_per_job=0.5",
        "+hydra.launcher.init.num_cpus=8",
        "hydra.launcher.address=auto",
        "hydra.launcher.partition=gpu",
        "hydra/sweeper=optuna",
        "hydra.sweeper.sampler._target_=optuna.samplers.GPSampler",
        "+hydra.sweeper.sampler.multivariate=true",
        "+hydra.sweeper.params.seed='0,1'",
        "hydra.sweep.subdir='${architecture.latent_dim}_${seed}'",
    ],
)
def test_words_that_launch_a_sweep_are_replayed(word):
    check_replayed([word], Trust(), "multirun.yaml", sweep=True)
