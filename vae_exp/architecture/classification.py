"""What autoencoders become that are trained on labels in the end: a softmax layer on top of the code."""

from torch import Tensor

from vae_exp.architecture.inputs import check_labels
from vae_exp.errors import ConfigError, UserError
from vae_exp.network.linear import Linear
from vae_exp.objective import Terms


def softmax_layer(latent_dim: int, classes: int) -> Linear:
    """Codes (B, latent_dim) to the logits of the classes (B, classes).

    Raises:
        ConfigError: There are none.
    """
    if not classes:
        raise ConfigError("architecture.supervised=true: this dataset has no labels to learn")
    return Linear(latent_dim, classes)


def class_terms(log_p: Tensor, y: Tensor | None) -> Terms:
    """`cross_entropy` −log p(y|x), (B,), in nats.

    Args:
        log_p: log p(y|x) of every class, (B, classes).
        y: The labels (B,).

    Raises:
        UserError: There are no labels, or one is not known.
    """
    if y is None:
        raise UserError("a classifier needs the labels y (B,)")
    check_labels(y, range(log_p.shape[1]))
    return {"cross_entropy": -log_p.gather(1, y[:, None]).squeeze(1)}
