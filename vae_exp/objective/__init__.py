"""How variational models are trained: estimators of the bound, Monte Carlo EM. Imports from `prior` and below."""

from vae_exp.objective.base import (
    ChangesDecoder,
    Decode,
    HasClosedKL,
    HasEStep,
    IgnoresPrior,
    NeedsDensity,
    Objective,
    Terms,
)
from vae_exp.objective.full_vb import FullVB
from vae_exp.objective.iwae import IWAE
from vae_exp.objective.mcem import MCEM
from vae_exp.objective.sgvb import SGVBA, SGVBB
from vae_exp.objective.wake_sleep import WakeSleep
from vae_exp.prior.base import Encode
from vae_exp.prior.normal import Normals

__all__ = [
    "IWAE",
    "MCEM",
    "SGVBA",
    "SGVBB",
    "ChangesDecoder",
    "Decode",
    "Encode",
    "FullVB",
    "HasClosedKL",
    "HasEStep",
    "IgnoresPrior",
    "NeedsDensity",
    "Normals",
    "Objective",
    "Terms",
    "WakeSleep",
]
