from vae_exp.figures.images import analogies, filters, reconstructions, samples
from vae_exp.figures.latent import latent_scatter, manifold
from vae_exp.figures.portfolio import portfolio

__all__ = ["analogies", "filters", "latent_scatter", "manifold", "portfolio", "reconstructions", "samples"]
