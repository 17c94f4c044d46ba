"""Adversarial autoencoders: who lowers which loss, what is learned, and that a run goes on exactly."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from vae_exp.architecture import AAE, Autoencoder, Generative, SemiSupervisedAAE
from vae_exp.corruption import Masking
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError, UserError
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP
from vae_exp.results.metrics import read_metrics
from vae_exp.training.engine.losses import WeightedLoss

SHAPE, CLASSES = (1, 3, 2), 4
COUNTS = Counts(images=100, labelled=20)
PARTS = {"network": MLP([7], init_std=0.5), "likelihood": Bernoulli(), "latent_dim": 2, "discriminator_sizes": [5]}


@pytest.fixture
def batch(exactly):
    return torch.rand(6, *SHAPE), torch.tensor([2, -1, 0, -1, -1, 3])


def gradients(model, value):
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(value.mean(), list(parameters.values()), allow_unused=True, retain_graph=True)
    return dict(zip(parameters, found, strict=True))


def players(model, value):
    """The parts whose parameters a term has a gradient for."""
    found = gradients(model, value)
    return {name.partition(".")[0] for name, gradient in found.items() if gradient is not None and gradient.any()}


def test_every_loss_has_its_own_player(batch):
    x, y = batch
    model = SemiSupervisedAAE(SHAPE, CLASSES, **PARTS)
    terms = model.terms(x, y)
    assert players(model, terms["nll"]) == {"encoder", "decoder"}
    assert players(model, terms["classification"]) == {"encoder"}
    for prefix in ("", "class_"):
        assert players(model, terms[f"{prefix}adversarial"]) == {"encoder"}
        assert players(model, terms[f"{prefix}discriminator"]) == {f"{prefix}discriminator"}
        assert not terms[f"{prefix}discriminator_accuracy"].requires_grad


def test_the_losses_are_the_cross_entropies_of_two_players(batch):
    x, _ = batch
    model = AAE(SHAPE, 0, **PARTS)
    torch.manual_seed(1)
    terms = model.terms(x)
    torch.manual_seed(1)
    draws, codes = model.prior.sample((6,)), model.encode(x)
    fake, real = model.discriminator(codes), model.discriminator(draws)
    one, zero = torch.ones(6), torch.zeros(6)

    def cross_entropy(logits, target):
        return binary_cross_entropy_with_logits(logits, target, reduction="none")

    torch.testing.assert_close(terms["adversarial"], cross_entropy(fake, one))
    torch.testing.assert_close(terms["discriminator"], cross_entropy(real, one) + cross_entropy(fake, zero))
    right = ((real > 0).double() + (fake < 0).double()) / 2
    torch.testing.assert_close(terms["discriminator_accuracy"], right)
    torch.testing.assert_close(terms["nll"], -model.decode(codes).log_prob(x))


def test_one_update_is_a_step_of_each_player_from_the_same_weights(batch):
    """The gradient of the whole loss is that of each player's own loss."""
    x, y = batch
    model = SemiSupervisedAAE(SHAPE, CLASSES, weight=3.0, **PARTS)
    loss = WeightedLoss(model, model.weights(COUNTS))
    torch.manual_seed(1)
    whole = gradients(model, loss(x, y)[0])
    torch.manual_seed(1)
    terms, weights = model.terms(x, y), model.weights(COUNTS)
    own = {name for name in terms if name.endswith("discriminator")}
    for name, gradient in whole.items():
        player = name.partition(".")[0]
        lowered = {player} if player in own else terms.keys() - own
        expected = gradients(model, sum(weights[term] * terms[term] for term in lowered))[name]
        torch.testing.assert_close(gradient, expected)


def test_only_the_encoder_of_the_semi_supervised_one_sees_corrupted_images_and_only_in_training(batch):
    x, y = batch
    corruption = Masking(0.5)
    models = [SemiSupervisedAAE(SHAPE, CLASSES, **PARTS, corruption=c) for c in (None, corruption)]
    models[0].load_state_dict(models[1].state_dict())
    plain, denoising = models
    torch.manual_seed(1)
    seen = corruption(x)
    torch.manual_seed(1)
    terms = denoising.terms(x, y)
    log_q, z = plain._codes(seen)
    torch.testing.assert_close(terms["nll"], -plain._decode_with(z, log_q.exp()).log_prob(x))
    torch.testing.assert_close(terms["classification"][:1], -log_q[:1, 2])
    for name in ("nll", "classification"):
        torch.testing.assert_close(denoising.evaluate_terms(x, y)[name], plain.terms(x, y)[name])


def test_codes_become_draws_from_the_prior():
    """The encoder starts far from N(0, I): a mean of 3 and a standard deviation below 1."""
    torch.manual_seed(0)
    parts = PARTS | {"likelihood": Gaussian(variance="fixed"), "network": MLP([], init_std=None), "latent_dim": 1}
    model = AAE(SHAPE, 0, **(parts | {"discriminator_sizes": [32]}))
    with torch.no_grad():
        model.encoder.linears[0].bias.add_(3)
    x = torch.randn(500, *SHAPE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss = WeightedLoss(model, {**model.weights(COUNTS), "nll": 0.0})
    for _ in range(600):
        optimizer.zero_grad()
        loss(x, torch.zeros(0))[0].backward()
        optimizer.step()
    codes = model.encode(x)
    assert abs(codes.mean().item()) < 0.2
    assert codes.std().item() == pytest.approx(1, abs=0.2)
    assert model.evaluate_terms(x)["discriminator_accuracy"].mean() < 0.6


def test_the_decoder_of_a_supervised_one_needs_the_label(batch):
    x, _ = batch
    model = AAE(SHAPE, CLASSES, conditional=True, **PARTS)
    z = model.encode(x)
    one, other = (model.decode(z, torch.full((6,), label)).mean for label in (0, 1))
    assert not torch.allclose(one, other)
    with pytest.raises(UserError, match="a supervised AAE needs the labels"):
        model.decode(z)
    for kind, words in ((AAE, {"conditional": True}), (SemiSupervisedAAE, {})):
        with pytest.raises(ConfigError, match="this dataset has none"):
            kind(SHAPE, 0, **words, **PARTS)


def test_without_a_bound_it_is_no_generative_model_but_images_can_be_drawn(batch):
    model = SemiSupervisedAAE(SHAPE, CLASSES, **PARTS)
    assert isinstance(model, Autoencoder)
    assert not isinstance(model, Generative)
    assert model.sample(3).shape == (3, *SHAPE)
    torch.testing.assert_close(model.classify(batch[0]).exp().sum(1), torch.ones(6))


QUICK = [
    "network.hidden_sizes=[20]",
    "architecture.discriminator_sizes=[8]",
    "optimizer=adam",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.1",
    "callbacks.evaluate.images=50",
]


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("words", [["architecture=aae"], ["architecture=aae_semi", "dataset.labels=100"]])
def test_a_run_goes_on_where_it_stopped(run, words):
    whole, stopped = run("samples=2000", *words, *QUICK), run("samples=1000", *words, *QUICK)
    assert run(f"resume={stopped.directory}", "samples=2000").status == 0
    rows = [read_metrics(outcome.directory / "metrics.csv")[-1] for outcome in (whole, stopped)]
    for name in ("nll", "adversarial", "discriminator", "discriminator_accuracy"):
        assert rows[0][f"test/{name}"] == rows[1][f"test/{name}"]
    ends = [torch.load(r.directory / "checkpoints" / "last.ckpt", weights_only=True) for r in (whole, stopped)]
    assert all(torch.equal(ends[1]["state_dict"][name], value) for name, value in ends[0]["state_dict"].items())
