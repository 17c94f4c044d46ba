from vae_exp.architecture.base import Architecture
from vae_exp.architecture.deterministic import AE
from vae_exp.architecture.stacked import Stacked
from vae_exp.architecture.variational import VAE

__all__ = ["AE", "VAE", "Architecture", "Stacked"]
