"""Measure a model: its bound, log p(x) and the quality of its code. Imports from `architecture` and below."""

from vae_exp.evaluation.bounds import evaluate

__all__ = ["evaluate"]
