from omegaconf import OmegaConf

from vae_exp.config.paths import CONFIG_DIR
from vae_exp.training.settings import TrainerSettings


def test_every_argument_of_lightnings_trainer_is_taken_or_explained():
    from inspect import signature

    import pytorch_lightning as pl

    from vae_exp.config.lightning import REPLACEMENTS, TRAINER_KEYS_OUTSIDE_YAML

    theirs, ours = (set(signature(kind).parameters) for kind in (pl.Trainer, TrainerSettings))
    assert theirs <= ours | REPLACEMENTS.keys()
    assert set(TRAINER_KEYS_OUTSIDE_YAML) == ours - set(OmegaConf.load(CONFIG_DIR / "trainer" / "default.yaml"))
