import pytest
import torch
from torch.func import grad_and_value

from vae_exp.architecture import AE, M2, VAE
from vae_exp.corruption import Masking
from vae_exp.dataset.batches import importance_weights
from vae_exp.dataset.serving import Counts
from vae_exp.likelihood import Bernoulli, Gaussian, unvalidated
from vae_exp.network import MLP, Conv, ResNet
from vae_exp.network.linear import AVAILABLE, fast_linear
from vae_exp.objective import IWAE, MCEM, SGVBA, SGVBB, FullVB, WakeSleep
from vae_exp.training.engine import compiled, gradients
from vae_exp.training.engine.losses import WeightedLoss

needs_compiler = pytest.mark.skipif(not compiled.has_compiler(), reason="torch.compile needs a C++ compiler")
needs_onednn = pytest.mark.skipif(not AVAILABLE, reason="this PyTorch has no oneDNN")
SHAPE = (1, 28, 28)
# wide enough for oneDNN to take the large products of a batch of 100
WIDE = MLP([120])
MODELS = {
    "vae": lambda: VAE(SHAPE, 10, WIDE, Bernoulli(), SGVBB(), latent_dim=3),
    "cvae, estimator A, Gaussian": lambda: VAE(
        SHAPE, 10, WIDE, Gaussian(min_std=0.5), SGVBA(samples=2), latent_dim=2, conditional=True
    ),
    "cae": lambda: AE(SHAPE, WIDE, Bernoulli(), latent_dim=4, contraction=0.1),
    "deep tied ae": lambda: AE(SHAPE, MLP([120, 110], tied=True), Bernoulli(), latent_dim=4),
    "tied dae, all contractions, shared variance": lambda: AE(
        SHAPE,
        MLP([], tied=True),
        Gaussian("shared"),
        latent_dim=120,
        latent_activation="sigmoid",
        corruption=Masking(0.3),
        contraction=0.1,
        stochastic_contraction=0.1,
        higher_order_contraction=0.1,
    ),
    "deep cae, Jacobian by autograd": lambda: AE(SHAPE, MLP([20, 9]), Bernoulli(), latent_dim=4, contraction=0.1),
    "wake-sleep": lambda: VAE(SHAPE, 10, WIDE, Bernoulli(), WakeSleep(), latent_dim=3),
    "Monte Carlo EM": lambda: VAE(SHAPE, 10, WIDE, Bernoulli(), MCEM(), latent_dim=3),
    "full variational Bayes": lambda: VAE(SHAPE, 10, WIDE, Bernoulli(), FullVB(), latent_dim=3),
    "m2": lambda: M2(SHAPE, 10, WIDE, Bernoulli(), SGVBB(), latent_dim=3),
    "conv, iwae": lambda: VAE(SHAPE, 10, Conv([2], [2], 8), Bernoulli(), IWAE(3), latent_dim=2),
}


def traced_of(model):
    """Generating code takes many seconds a model: one model is compiled, where it trains."""
    return compiled.Compiled(gradients.Eager(model), required=True, generates_code=False)


@pytest.fixture(autouse=True)
def as_in_training():
    """What validates arguments cannot be compiled."""
    with unvalidated():
        yield


def loss_of(architecture):
    counts = Counts(images=100, labelled=100)
    if architecture.e_step is not None:
        architecture.e_step.begin(counts.images)
    return WeightedLoss(architecture, architecture.weights(counts))


@pytest.fixture(params=MODELS, ids=str)
def model(request):
    torch.manual_seed(0)
    return loss_of(MODELS[request.param]())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(100, *SHAPE, generator=generator)
    return x, torch.arange(100) % 10


def gradient(of, model, batch, fast):
    """Loss, terms and every parameter's gradient after the same random numbers."""
    e_step = model.architecture.e_step
    while e_step is not None and not e_step(*batch[:2], torch.arange(100)):
        pass
    torch.manual_seed(1)
    with fast_linear(fast):
        loss, terms = of(model)(*batch)
    assert not loss.requires_grad
    found = {"loss": loss, **terms} | {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return {name: value.detach().clone() for name, value in found.items()}


def assert_same_gradient(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-4, atol=1e-4 * float(value.abs().max()), msg=name)


def test_the_same_batch_has_the_same_gradient_but_for_rounding(model, batch):
    expected = gradient(gradients.Eager, model, batch, fast=False)
    assert_same_gradient(gradient(gradients.Eager, model, batch, fast=True), expected)


@pytest.mark.parametrize("model", sorted(MODELS.keys() - {"vae", "deep tied ae"}), indirect=True)  # parts of others
def test_a_traced_program_has_the_gradient_of_the_eager_one(model, batch):
    expected = gradient(gradients.Eager, model, batch, fast=False)
    assert_same_gradient(gradient(traced_of, model, batch, fast=False), expected)


def test_a_traced_residual_network_has_the_gradient_of_the_eager_one():
    """On small images, because the time that tracing takes depends on the number of stages."""
    torch.manual_seed(0)
    network = ResNet(4, 4, groups=2, hidden_size=4)
    model = loss_of(VAE((1, 5, 6), 0, network, Bernoulli(), SGVBB(), latent_dim=2))
    batch = torch.rand(3, 1, 5, 6), torch.arange(3)
    expected = gradient(gradients.Eager, model, batch, fast=False)
    assert_same_gradient(gradient(traced_of, model, batch, fast=False), expected)


@needs_compiler
def test_batches_with_few_labels_give_the_same_gradient(batch):
    torch.manual_seed(0)
    # classes that differ: else the classifier's gradient is the rounding error of differences between their bounds
    m2 = M2(SHAPE, 10, MLP([120], init_std=0.1), Bernoulli(), SGVBA(), latent_dim=3)
    model = loss_of(m2)
    x, y = batch[0], torch.where(torch.arange(100) < 10, batch[1], -1)
    eager, traced = (
        gradient(of, model, (x, y, importance_weights(y, 0.05)), fast=False) for of in (gradients.Eager, traced_of)
    )
    assert_same_gradient(traced, eager)


def test_gradients_do_not_add_up(model, batch):
    of = gradients.Eager(model)
    first = gradient(lambda _: of, model, batch, fast=False)
    second = gradient(lambda _: of, model, batch, fast=False)
    assert all(torch.equal(first[name], second[name]) for name in first)


@needs_compiler
def test_the_floor_of_sigma_keeps_its_derivative_in_a_compiled_program():
    """Of two σ below their floor the one whose error is larger than the floor has a gradient."""
    likelihood, x = Gaussian(mean="identity", min_std=0.5), torch.tensor([1.0, 0.1, 1.0, 0.1]).view(1, 1, 2, 2)

    def loss(log_variance):
        features = torch.cat([torch.zeros(1, 1, 2, 2), log_variance.view(1, 1, 2, 2)], 1)
        return -likelihood(features).log_prob(x).sum()

    of = grad_and_value(loss)
    log_variance = torch.tensor([-9.0, -9.0, 0.0, 0.0])
    torch.compiler.reset()
    for gradient, _ in (of(log_variance), torch.compile(of, fullgraph=True, dynamic=False)(log_variance)):
        torch.testing.assert_close(gradient, -0.5 * torch.tensor([4 - 1, 0, 1 - 1, 0.01 - 1]))


def test_a_schedule_of_a_weight_needs_one_program_for_all_its_values(batch):
    torch.manual_seed(0)
    architecture = VAE(SHAPE, 10, WIDE, Bernoulli(), SGVBB(), latent_dim=3, beta={"warmup": 100}, free_bits=0.1)
    model = loss_of(architecture)
    traced = traced_of(model)
    for seen in (10, 70):
        model.anneal(seen, budget=1000)
        expected = gradient(gradients.Eager, model, (*batch, None), fast=False)
        with torch.compiler.set_stance("fail_on_recompile" if seen == 70 else "default"):
            assert_same_gradient(gradient(lambda _: traced, model, (*batch, None), fast=False), expected)
        assert expected["kl_free_bits"] > 0
