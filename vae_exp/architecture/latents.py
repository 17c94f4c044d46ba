"""Checks that a prior and a posterior go with each other, and with the objective."""

from vae_exp.errors import ConfigError
from vae_exp.objective import HasEStep, IgnoresPrior, NeedsDensity, NeedsNormal, Objective
from vae_exp.posterior.base import HasDensity, NormalFamily, PosteriorFamily
from vae_exp.posterior.diagonal import Diagonal
from vae_exp.prior.base import NeedsEncoder, Prior


def check_latents(prior: Prior, posterior: PosteriorFamily, objective: Objective, conditional: bool) -> None:
    """Check that an objective can train this prior and this posterior.

    Args:
        prior: p(z).
        posterior: The family of q(z|x).
        objective: Estimates the bound.
        conditional: Whether the encoder is given the label.

    Raises:
        ConfigError: It cannot. The message says why, and what can be chosen.
    """
    p, q, name = (type(part).__name__ for part in (prior, posterior, objective))
    if isinstance(objective, HasEStep) and not isinstance(posterior, Diagonal):
        raise ConfigError(f"posterior: {name} has no encoder that could choose from the family {q}. Allowed: diagonal")
    if isinstance(objective, IgnoresPrior) and any(True for _ in prior.parameters()):
        raise ConfigError(
            f"prior: this {p} has to be trained, and {name} has no term that depends on p(z). "
            "Allowed: prior=standard, or objective=sgvb_b, sgvb_a, iwae or full_vb"
        )
    if isinstance(objective, NeedsDensity) and not isinstance(posterior, HasDensity):
        raise ConfigError(
            f"posterior: {name} needs log q(z|x) at latents that are no draws from q(z|x), and the family {q} "
            "knows it only at its draws. Allowed: diagonal, full_covariance, spline"
        )
    if isinstance(objective, NeedsNormal) and not isinstance(posterior, NormalFamily):
        raise ConfigError(
            f"posterior: {name} needs a normal q(z|x), which a {q} is not. Allowed: diagonal, full_covariance"
        )
    if isinstance(prior, NeedsEncoder) and conditional:
        raise ConfigError(
            f"prior: this {p} is made of q(z|x) at pseudo-inputs, which have no label, and this encoder needs one. "
            "Allowed: standard, mixture, flow; or architecture=vae"
        )
