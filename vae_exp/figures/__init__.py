from vae_exp.figures.images import filters, reconstructions, samples
from vae_exp.figures.latent import latent_scatter, manifold
from vae_exp.figures.portfolio import portfolio

__all__ = ["filters", "latent_scatter", "manifold", "portfolio", "reconstructions", "samples"]
