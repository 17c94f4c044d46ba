"""Messages that name the key to use instead of a key of Lightning's Trainer. This module does not import torch."""

from collections.abc import Iterable

from vae_exp.errors import unknown_key

BUDGET = "the budget is samples=…, in training images: a pass over MNIST is 60000, a step is dataset.batch_size"
FEWER_TRAINED = "samples=… trains for less, dataset.train_size=… on fewer images"
FEWER_EVALUATED = "callbacks.evaluate.images=… evaluates fewer images of each split"
WHEN = "callbacks.evaluate.per_decade=… and callbacks.evaluate.decades=… say when to evaluate"
NO_EFFECT = "it would have no effect here"

REPLACEMENTS = {
    "max_epochs": BUDGET,
    "min_epochs": BUDGET,
    "max_steps": BUDGET,
    "min_steps": BUDGET,
    "max_time": BUDGET,
    "limit_train_batches": FEWER_TRAINED,
    "overfit_batches": FEWER_TRAINED,
    "limit_val_batches": FEWER_EVALUATED,
    "limit_test_batches": FEWER_EVALUATED,
    "limit_predict_batches": FEWER_EVALUATED,
    "val_check_interval": WHEN,
    "check_val_every_n_epoch": WHEN,
    "fast_dev_run": "a quick run is samples=200 logger=none callbacks.figures=null",
    "accumulate_grad_batches": "dataset.batch_size=… is the number of images in an update",
    "gradient_clip_algorithm": "gradients are clipped by their norm: +trainer.gradient_clip_val=…",
    "logger": "loggers are a group: logger=wandb, tensorboard, many or none",
    "callbacks": "callbacks are a group: +callbacks.<name>._target_=…",
    "enable_checkpointing": "checkpoints are a callback: callbacks.checkpoint=null leaves them out",
    "default_root_dir": "hydra.run.dir=… is the run's directory",
    "num_nodes": "one run stays on one machine (trainer=ddp); hydra/launcher=… spreads a sweep's jobs over several",
    "gpus": "trainer.accelerator=gpu takes a GPU, trainer=ddp several",
    "barebones": NO_EFFECT,
    "enable_autolog_hparams": NO_EFFECT,
    "inference_mode": NO_EFFECT,
    "model_registry": NO_EFFECT,
    "num_sanity_val_steps": NO_EFFECT,
    "plugins": NO_EFFECT,
    "reload_dataloaders_every_n_epochs": NO_EFFECT,
    "sync_batchnorm": NO_EFFECT,
    "use_distributed_sampler": NO_EFFECT,
}
TRAINER_KEYS_OUTSIDE_YAML = (
    "benchmark",
    "detect_anomaly",
    "deterministic",
    "gradient_clip_val",
    "profiler",
    "strategy",
)
"""Arguments of `vae_exp.training.settings.TrainerSettings` that its yaml does not contain."""


def unknown_key_message(prefix: str, key: str, allowed: Iterable[str]) -> str:
    """Return the message for an unknown key: the replacement of a key of Lightning, or else the nearest name."""
    if prefix == "trainer." and key in REPLACEMENTS:
        return f"trainer.{key}: no such key: {REPLACEMENTS[key]}"
    if prefix == "trainer." and key in TRAINER_KEYS_OUTSIDE_YAML:
        return f"trainer.{key}: is added with a plus: +trainer.{key}=…"
    return unknown_key(prefix, key, allowed)
