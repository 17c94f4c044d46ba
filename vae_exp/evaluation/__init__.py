from vae_exp.evaluation.bounds import evaluate

__all__ = ["evaluate"]
