from omegaconf import OmegaConf

from vae_exp.config.assembly import GIVEN
from vae_exp.config.paths import CONFIG_DIR


def test_every_argument_of_lightnings_trainer_is_taken_or_explained():
    from inspect import signature

    import pytorch_lightning as pl

    from vae_exp.config.lightning import ADDED, INSTEAD
    from vae_exp.training.trainer import Trainer

    theirs, ours = (set(signature(kind).parameters) for kind in (pl.Trainer, Trainer))
    assert theirs <= (ours - GIVEN["trainer"]) | INSTEAD.keys()
    assert set(ADDED) == ours - GIVEN["trainer"] - set(OmegaConf.load(CONFIG_DIR / "trainer" / "default.yaml"))
