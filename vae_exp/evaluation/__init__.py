"""Numbers of a model: bounds, log p(x), what its code is good for. Imports from `architecture` and below."""

from vae_exp.evaluation.bounds import evaluate

__all__ = ["evaluate"]
