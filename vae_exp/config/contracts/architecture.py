"""The contract of an architecture, and of a combination of parts."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.architecture import Autoencoder, Classifies, Generative, HasPrior, Model
from vae_exp.config.contracts.tensors import check_floats, check_terms, check_trainable
from vae_exp.dataset.serving import Counts
from vae_exp.foreign import reported, require

ATTRIBUTES = {Model: ("shape", "classes"), Autoencoder: ("latent_dim", "likelihood")}
"""The attributes that the constructor of a class of models has to set."""


def check_model(model: Model, x: Tensor, y: Tensor, key: str) -> None:
    """Hold a model against its contract.

    Args:
        model: The model.
        x: Images (B, C, H, W).
        y: Labels (B,).
        key: The keys, on the command line, of the parts that may be at fault.

    Raises:
        PartError: It does not keep the contract.
    """
    name = type(model).__name__
    with reported(key):
        _check_attributes(model, name, key)
        if model.e_step is not None:
            model.e_step.begin(len(x))
            model.e_step(x, y, torch.arange(len(x)))
        _check_loss(model.train(), x, y, name, key)
        model.eval()
        if not model.amortized:  # to search for the code takes long
            return
        _check_evaluation(model, x, y, name, key)
        if isinstance(model, Autoencoder):
            _check_code(model, x, y, name, key)
        if isinstance(model, HasPrior):
            _check_prior(model, name, key)
        if isinstance(model, Generative):
            _check_bound(model, x, y, name, key)


def _check_attributes(model: Model, name: str, key: str) -> None:
    for kind, attributes in ATTRIBUTES.items():
        for attribute in attributes if isinstance(model, kind) else ():
            require(hasattr(model, attribute), key, f"{name} must set the attribute {attribute}, and does not")


def _check_loss(model: Model, x: Tensor, y: Tensor, name: str, key: str) -> None:
    terms = model.terms(x, y)
    check_terms(terms, len(x), key, f"{name}.terms(x, y)")
    weights, names = sorted(model.weights(Counts(images=len(x), labelled=len(x)))), sorted(terms)
    require(weights == names, key, f"{name}.weights(counts) must have the names of the terms, {names}, not {weights}")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    complaint = f"{name}: the sum of its terms must have a gradient for its parameters, and has none"
    check_trainable(sum(terms.values(), torch.zeros(len(x))), parameters, key, complaint)


def _check_evaluation(model: Model, x: Tensor, y: Tensor, name: str, key: str) -> None:
    terms = model.evaluate_terms(x, y)
    check_terms(terms, len(x), key, f"{name}.evaluate_terms(x, y)")
    needed = {"nll", "kl"} if isinstance(model, Generative) else {"nll"} if isinstance(model, Autoencoder) else set()
    missing = sorted(needed - set(terms))
    require(not missing, key, f"{name}.evaluate_terms(x, y) must have {', '.join(missing)}, and has {sorted(terms)}")
    if isinstance(model, Classifies):
        log_p = model.classify(x)
        check_floats(log_p, (len(x), model.classes), key, f"{name}.classify(x)")


def _check_code(model: Autoencoder, x: Tensor, y: Tensor, name: str, key: str) -> None:
    code = model.encode(x, y)
    check_floats(code, (len(x), model.latent_dim), key, f"{name}.encode(x, y)")
    labels = model.fill_labels(x, y)
    for call, p, batch in (
        ("decode(z, y)", model.decode(code, labels), (len(x),)),
        ("decode(z, y) of three latents per image", model.decode(code.expand(3, *code.shape), labels), (3, len(x))),
        ("reconstruct(x, y)", model.reconstruct(x, y), (len(x),)),
    ):
        call = f"{name}.{call}"
        require(isinstance(p, Distribution), key, f"{call} must be a Distribution, and is a {type(p).__name__}")
        check_floats(p.mean, (*batch, *model.shape), key, f"the mean of {call}")
        shape = tuple(p.batch_shape)
        require(shape == batch, key, f"{call} must have the batch_shape {batch}, and has {shape}")
    check_floats(model.corrupt(x), x.shape, key, f"{name}.corrupt(x)")


def _check_prior(model: HasPrior, name: str, key: str) -> None:
    event = tuple(model.prior.event_shape)
    wanted = (model.latent_dim,)
    require(event == wanted, key, f"{name}.prior must have the event_shape {wanted}, and has {event}")
    check_floats(model.sample(2), (2, *model.shape), key, f"{name}.sample(2)")


def _check_bound(model: Generative, x: Tensor, y: Tensor, name: str, key: str) -> None:
    mean = model.posterior(x, y).mean
    check_floats(mean, (len(x), model.latent_dim), key, f"the mean of {name}.posterior(x, y)")
    check_floats(model.bound(x, y), (len(x),), key, f"{name}.bound(x, y)")
