"""How variational models are trained: estimators of the bound, Monte Carlo EM. Imports from `prior` and below."""

from vae_exp.objective.base import (
    ChangesDecoder,
    Decode,
    HasClosedKL,
    HasEStep,
    IgnoresPrior,
    NeedsDensity,
    NeedsNormal,
    Objective,
    Terms,
)
from vae_exp.objective.beta_tc import BetaTC
from vae_exp.objective.dreg import DReG
from vae_exp.objective.full_vb import FullVB
from vae_exp.objective.iwae import IWAE
from vae_exp.objective.mcem import MCEM
from vae_exp.objective.mmd import MMD
from vae_exp.objective.sgvb import SGVBA, SGVBB
from vae_exp.objective.stl import STL
from vae_exp.objective.wake_sleep import WakeSleep
from vae_exp.prior.base import Encode
from vae_exp.prior.normal import Normals

__all__ = [
    "IWAE",
    "MCEM",
    "MMD",
    "SGVBA",
    "SGVBB",
    "STL",
    "BetaTC",
    "ChangesDecoder",
    "DReG",
    "Decode",
    "Encode",
    "FullVB",
    "HasClosedKL",
    "HasEStep",
    "IgnoresPrior",
    "NeedsDensity",
    "NeedsNormal",
    "Normals",
    "Objective",
    "Terms",
    "WakeSleep",
]
