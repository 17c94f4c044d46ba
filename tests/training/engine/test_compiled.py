"""Updates by one compiled program."""

import gc
import weakref
from functools import partial

import pytest
import torch
from latents import PRIORS
from torch import nn

from vae_exp import optimizer
from vae_exp.architecture import VAE
from vae_exp.dataset.serving import Counts
from vae_exp.dataset.shard import WHOLE_BATCH
from vae_exp.errors import ConfigError
from vae_exp.likelihood import Bernoulli, unvalidated
from vae_exp.network import MLP
from vae_exp.network.linear import AVAILABLE
from vae_exp.objective import SGVBB
from vae_exp.posterior.full_covariance import FullCovariance
from vae_exp.posterior.iaf import IAF
from vae_exp.prior.flow import Flow
from vae_exp.prior.vamp import Vamp
from vae_exp.training.engine import compiled, gradients, products
from vae_exp.training.engine.losses import WeightedLoss
from vae_exp.training.engine.update import Step, Update
from vae_exp.training.weight_prior import with_weight_prior

needs_compiler = pytest.mark.skipif(not compiled.has_compiler(), reason="torch.compile needs a C++ compiler")
OPTIMIZERS = {
    "adagrad": optimizer.adagrad,
    "adam": optimizer.adam,
    "sgd with momentum": partial(optimizer.sgd, lr=1e-4, momentum=0.9, nesterov=True),
}
SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def as_in_training():
    """What validates arguments cannot be compiled."""
    with unvalidated():
        yield


LATENTS = [
    (partial(Flow, transforms=1, hidden_sizes=[3]), FullCovariance),
    (partial(Vamp, components=2), partial(IAF, transforms=1, hidden_sizes=[3])),
]


@pytest.mark.parametrize(("prior", "posterior"), LATENTS)
def test_the_gradient_of_priors_and_posteriors_is_compiled(prior, posterior):
    torch.manual_seed(0)
    model = VAE(SHAPE, 0, MLP([3]), Bernoulli(), SGVBB(), 2, prior=prior, posterior=posterior)
    loss = WeightedLoss(model, {"nll": 1.0, "kl": 1.0})
    batch = torch.rand(6, *SHAPE), torch.full((6,), -1)
    found = []
    for compute in (
        gradients.Eager(loss),
        compiled.Compiled(gradients.Eager(loss), required=True, generates_code=False),
    ):
        torch.manual_seed(1)
        found.append([compute(*batch)[0], *(parameter.grad for parameter in loss.parameters())])
    assert compute.engine == "inductor"
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-5)


def test_a_part_that_breaks_the_graph_is_trained_without_it(caplog):
    torch.manual_seed(0)
    model = VAE(SHAPE, 0, MLP([3]), Bernoulli(), SGVBB(), 2, prior=PRIORS["realnvp"])
    loss = WeightedLoss(model, {"nll": 1.0, "kl": 1.0})
    compute = compiled.Compiled(gradients.Eager(loss), required=False, generates_code=False)
    batch = torch.rand(6, *SHAPE), torch.full((6,), -1)
    assert compute(*batch)[0].isfinite()
    assert compute.engine == "eager"
    assert "Training without torch.compile" in caplog.text
    required = compiled.Compiled(gradients.Eager(loss), required=True, generates_code=False)
    with pytest.raises(ConfigError, match=r"trainer\.compile=false trains without it"):
        required(*batch)


def updates(build, make, in_one_program, clip=None, count=4):
    """The losses of a few updates, and the weights and the optimizer's state after them."""
    torch.manual_seed(0)
    architecture = build()
    model = WeightedLoss(architecture, architecture.weights(Counts(images=20, labelled=10)))
    found = make(with_weight_prior(model, 0.05))
    step = Step(model.parameters(), found, WHOLE_BATCH, clip)
    compute = gradients.Eager(model)
    if in_one_program:
        compute = compiled.Compiled(gradients.Eager(model), required=True, step=step, generates_code=False)
    update = Update(compute, step)
    losses = []
    for _ in range(count):
        x, y = torch.rand(6, *SHAPE), torch.tensor([0, 1, 2, -1, -1, -1])
        losses.append(update(x, y, torch.rand(6), 6))
    assert compute.engine == ("inductor" if in_one_program else "eager")
    assert compute.updates is in_one_program
    state = [value for parameter in model.parameters() for value in found.state.get(parameter, {}).values()]
    return [torch.stack(losses), *(p.detach() for p in model.parameters()), *state]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def small_vae():
    return VAE(SHAPE, 3, MLP([5], init_std=0.5), Bernoulli(), SGVBB(), latent_dim=2)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_program_updates_as_the_optimizer_does(make):
    assert_same(updates(small_vae, make, True), updates(small_vae, make, False))


def test_a_program_clips_the_gradient():
    make = partial(optimizer.sgd, lr=1.0)
    clipped = updates(small_vae, make, True, clip=0.01)
    assert_same(clipped, updates(small_vae, make, False, clip=0.01))
    assert not torch.allclose(clipped[1], updates(small_vae, make, False)[1], rtol=0.1)


class WithUnused(nn.Module):
    """A layer whose second output layer is not in the loss."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(16, 1), nn.Linear(16, 1)

    def forward(self, x, y, counts=None):
        loss = self.used(x.flatten(1)).square().mean()
        return loss, {"nll": loss}


def test_a_program_leaves_parameters_outside_the_loss_as_they_are():
    """The prior on the weights must not shrink them either: eager updates do not."""
    torch.manual_seed(0)
    model = WithUnused()
    before = model.unused.weight.detach().clone()
    step = Step(model.parameters(), optimizer.adam(with_weight_prior(model, 0.5)), WHOLE_BATCH, None)
    compute = compiled.Compiled(gradients.Eager(model), required=True, step=step, generates_code=False)
    for _ in range(3):
        Update(compute, step)(torch.rand(6, *SHAPE), torch.zeros(6), None, 6)
    assert compute.updates
    assert torch.equal(model.unused.weight, before)


def test_several_programs_are_in_use_and_one_that_is_not_is_forgotten():
    """Without PyTorch's checks, it would take one for the other."""
    torch.manual_seed(0)
    models, updates = [WithUnused() for _ in range(2)], []
    for model in models:
        step = Step(model.parameters(), optimizer.adam(with_weight_prior(model, 0.0)), WHOLE_BATCH, None)
        updates.append(Update(compiled.Compiled(gradients.Eager(model), True, step, generates_code=False), step))
    for _ in range(4):
        for model, update in zip(models, updates, strict=True):
            before = [each.used.weight.detach().clone() for each in models]
            update(torch.rand(6, *SHAPE), torch.zeros(6), None, 6)
            changed = [not torch.equal(each.used.weight, old) for each, old in zip(models, before, strict=True)]
            assert changed == [each is model for each in models]
    weights = [weakref.ref(each.used.weight) for each in models]
    del models, updates, model, update, step
    gc.collect()
    assert not any(weight() is not None for weight in weights)


class Odd(optimizer.optim.SGD):
    """An optimizer from outside PyTorch, which counts its steps in Python."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        return super().step(closure)


def test_a_program_does_not_contain_an_optimizer_from_outside_pytorch():
    model = WithUnused()
    assert not Step(model.parameters(), Odd(model.parameters()), WHOLE_BATCH, None).is_traceable
    assert Step(model.parameters(), optimizer.sgd(with_weight_prior(model, 0)), WHOLE_BATCH, None).is_traceable


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("few_digits")
def test_compiled_training_is_the_same_but_for_rounding(run, monkeypatch):
    """Also where the last batch is a smaller one. How many updates a call does, and a stop, change no bit.

    oneDNN computes the five large products of an update, by the pass of vae_exp/training/engine/products.py: has an
    upgrade moved or changed torch/_inductor/custom_graph_pass.py: CustomGraphPass?
    """
    calls = []
    by_onednn = products.by_onednn
    monkeypatch.setattr(products, "by_onednn", lambda *parts: calls.append(0) or by_onednn(*parts))
    words = ["optimizer.lr=0.002", "logger=none", "callbacks.figures=null"]

    def train(compiles, *more):
        outcome = run(f"trainer.compile={compiles}", *more, *words)
        engine, product = "inductor" if compiles == "true" else "eager", "oneDNN" if AVAILABLE else "MKL"
        found = [outcome.results[key] for key in ("compiled", "engine", "product")]
        assert found == [compiles == "true", engine, product]
        assert f"Updates by {engine}, matrix products by {product}" in outcome.out + outcome.err
        return outcome

    stopped = train("true", "samples=1300", "trainer.steps_per_execution=7")
    assert len(calls) >= (5 * 12 if AVAILABLE else 0)
    assert run(f"resume='{stopped.directory}'", "samples=1950", directory=stopped.directory).status == 0
    whole, eager = train("true", "samples=1950"), train("false", "samples=1950")
    assert whole.results["step"] == 20
    assert whole.results["test/bound"] == pytest.approx(eager.results["test/bound"], abs=1e-2)
    one, other = (torch.load(o.directory / "checkpoints" / "last.ckpt", weights_only=True) for o in (stopped, whole))
    assert all(torch.equal(one["state_dict"][name], value) for name, value in other["state_dict"].items())
    states = [checkpoint["optimizer_states"][0]["state"].values() for checkpoint in (one, other)]
    assert all(torch.equal(a[name], b[name]) for a, b in zip(*states, strict=True) for name in b)


class Compilable(torch.nn.Module):
    """A model that is another one when it is compiled, where `otherwise` says so."""

    def __init__(self, otherwise):
        super().__init__()
        self.w, self.otherwise = torch.nn.Parameter(torch.ones(3)), otherwise
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, y, counts=None):
        if torch.compiler.is_compiling():
            loss = (self.otherwise(self.w) * torch.rand(3)).sum()
        else:
            self.calls += 1
            loss = (self.w * torch.rand(3)).sum()
        return loss, {"nll": loss}


@needs_compiler
@pytest.mark.parametrize(
    ("otherwise", "told"),
    [
        (lambda w: w.detach(), "its gradient of w is"),
        (lambda w: torch.full_like(w, float("nan")) * w, "its gradient of w is nan"),
        (lambda w: w / (1 // 0), "zero"),
    ],
)
def test_a_program_that_is_wrong_or_cannot_be_made_is_not_used(otherwise, told, caplog):
    x, y = torch.zeros(()), torch.zeros(())
    model, expected = Compilable(otherwise), Compilable(otherwise)
    torch.manual_seed(1)
    losses = [gradients.Eager(expected)(x, y)[0] for _ in range(3)]
    torch.manual_seed(1)
    found = compiled.Compiled(gradients.Eager(model), required=False)
    assert [found(x, y)[0] for _ in range(3)] == losses
    assert torch.equal(model.w.grad, expected.w.grad)
    assert (found.engine, model.calls) == ("eager", 3)
    assert caplog.text.count("Training without torch.compile") == 1
    assert told in caplog.text
    with pytest.raises(ConfigError, match=r"trainer\.compile=false trains without it"):
        compiled.Compiled(gradients.Eager(model), required=True)(x, y)


@needs_compiler
def test_a_program_that_is_right_is_used():
    model, x = Compilable(lambda w: w), torch.zeros(())
    found = compiled.Compiled(gradients.Eager(model), required=False)
    for _ in range(3):
        found(x, x)
    assert (found.engine, model.calls) == ("inductor", 0)


@needs_compiler
def test_a_program_whose_step_is_wrong_is_not_used(monkeypatch):
    """It is compared with the optimizer's own step, from the same weights and the same state."""
    model = WithUnused()
    step = Step(model.parameters(), optimizer.sgd(with_weight_prior(model, 0), lr=0.1), WHOLE_BATCH, None)
    monkeypatch.setattr(step, "trace", lambda: model.used.weight.mul_(2))
    compute = compiled.Compiled(gradients.Eager(model), required=True, step=step, begun=True, generates_code=False)
    with pytest.raises(ConfigError, match=r"its change of used\.weight is .* from the optimizer's"):
        compute(torch.rand(6, *SHAPE), torch.zeros(6))
