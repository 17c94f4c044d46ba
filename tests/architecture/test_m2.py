"""M2: its bounds against sums over the classes, what it learns from which labels, and its error, as a user gets it."""

import math

import pytest
import torch
from guesses import share_of_wrong_guesses
from torch.distributions import Bernoulli as Bit
from torch.distributions import Normal, kl_divergence

from vae_exp.architecture import M2
from vae_exp.corruption import Masking
from vae_exp.dataset import dataset
from vae_exp.dataset.base import Images, Splits, balanced_choice
from vae_exp.dataset.mnist import MNIST
from vae_exp.dataset.serving import Counts
from vae_exp.errors import ConfigError, UserError
from vae_exp.likelihood import Bernoulli
from vae_exp.network import MLP
from vae_exp.objective import IWAE, SGVBA, SGVBB
from vae_exp.results.metrics import read_metrics

SHAPE = (1, 3, 2)
CLASSES = 4
QUICK = [
    "architecture=m2",
    "network.hidden_sizes=[20]",
    "architecture.latent_dim=3",
    "dataset.labels=100",
    "optimizer=adam",
    "logger=none",
    "callbacks.figures=null",
    "callbacks.evaluate.decades=0.1",
]


@pytest.fixture(autouse=True)
def exactly():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def m2(network=None, **arguments):
    parts = {"network": network or MLP([7], init_std=0.5), "likelihood": Bernoulli(), "objective": SGVBB()}
    return M2(SHAPE, CLASSES, **(parts | {"latent_dim": 2} | arguments))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.bernoulli(torch.full((6, *SHAPE), 0.4)), torch.tensor([2, -1, 0, -1, -1, 3])


def looped(model, x, noise, samples):
    """L(x, y) of every image and label, one after the other, with the noise of each."""
    bounds = torch.zeros(len(x), CLASSES)
    for y in range(CLASSES):
        for i in range(len(x)):
            label = torch.eye(CLASSES)[y : y + 1]
            mean, log_variance = model.encoder(x[i : i + 1], label)[0].chunk(2)
            q = Normal(mean, torch.exp(log_variance / 2))
            for draw in range(samples):
                z = mean + q.stddev * noise[draw, y * len(x) + i]
                logits = model.decoder(torch.cat([z[None], label], 1))[0]
                bounds[i, y] += Bit(logits=logits).log_prob(x[i]).sum() / samples
            bounds[i, y] -= kl_divergence(q, Normal(torch.zeros(2), torch.ones(2))).sum() + math.log(CLASSES)
    return bounds


def test_bounds_are_those_of_an_independent_sum_over_the_classes(batch):
    """Equations 6 and 7: L(x, y) where there is a label, else Σ_y q(y|x) L(x, y) + H(q(y|x)), as in evaluations."""
    x, y = batch
    model = m2(objective=SGVBB(samples=2))
    torch.manual_seed(1)
    noise = torch.randn(2, CLASSES * len(x), 2)
    torch.manual_seed(1)
    terms = model.terms(x, y)
    each = looped(model, x, noise, samples=2)
    log_q = model.classifier(x, torch.zeros(len(x), 0)).log_softmax(1)
    marginal = (log_q.exp() * each).sum(1) - (log_q.exp() * log_q).sum(1)
    known = y >= 0
    expected = torch.where(known, each[torch.arange(len(x)), y], marginal)
    torch.testing.assert_close(-(terms["nll"] + terms["kl"]), expected)
    right = torch.where(known, -log_q[torch.arange(len(x)), y], 0)
    torch.testing.assert_close(terms["classification"], right)

    torch.manual_seed(1)
    noise = torch.randn(1, CLASSES * len(x), 2)
    each = looped(model, x, noise, samples=1)
    marginal = (log_q.exp() * each).sum(1) - (log_q.exp() * log_q).sum(1)
    for labels in (y, None, torch.arange(6) % CLASSES):
        torch.manual_seed(1)
        torch.testing.assert_close(model.bound(x, labels), marginal)


def test_only_the_classifier_sees_corrupted_images_and_only_in_training(batch):
    x, y = batch
    plain, corrupting = m2(), m2(corruption=Masking(0.5))
    plain.load_state_dict(corrupting.state_dict())
    torch.manual_seed(1)
    log_q = plain._classify(corrupting.corruption(x))
    noise = torch.randn(1, CLASSES * len(x), 2)
    torch.manual_seed(1)
    terms = corrupting.terms(x, y)
    each, known = looped(plain, x, noise, samples=1), y >= 0
    marginal = (log_q.exp() * each).sum(1) - (log_q.exp() * log_q).sum(1)
    expected = torch.where(known, each[torch.arange(len(x)), y], marginal)
    torch.testing.assert_close(-(terms["nll"] + terms["kl"]), expected)
    torch.testing.assert_close(terms["classification"][known], -log_q[torch.arange(len(x)), y][known])
    clean = plain.evaluate_terms(x, y)["classification"]
    torch.testing.assert_close(corrupting.evaluate_terms(x, y)["classification"], clean)


def test_bounds_of_a_model_that_can_be_summed_over_are_exact_or_lie_below():
    """The decoder does not see z: p(x|y) is a product of bits, and its posterior p(y|x) a linear classifier."""
    model = m2(MLP([], init_std=1.0))
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6).view(-1, *SHAPE)
    with torch.no_grad():
        decoder = model.decoder.layers[0]
        decoder.weight[:, :2] = 0
        for parameter in model.encoder.parameters():
            parameter.zero_()  # q(z|x, y) = p(z)
        logits = (decoder.weight[:, 2:] + decoder.bias[:, None]).T
        joint = Bit(logits=logits).log_prob(x.flatten(1)[:, None]).sum(2) - math.log(CLASSES)
        torch.testing.assert_close(joint.logsumexp((0, 1)), torch.tensor(0.0))
        assert (model.bound(x) < joint.logsumexp(1) - 1e-3).all()
        model.classifier.linears[0].weight.copy_(logits)
        model.classifier.linears[0].bias.copy_(-torch.nn.functional.softplus(logits).sum(1))
        torch.testing.assert_close(model.bound(x), joint.logsumexp(1))
        y = torch.arange(len(x)) % CLASSES
        terms = model.terms(x, y)
        torch.testing.assert_close(-(terms["nll"] + terms["kl"]), joint[torch.arange(len(x)), y])


def test_estimator_a_agrees_with_b_over_many_latents(batch):
    x, y = batch
    model = m2()
    values = []
    for objective in (SGVBA(samples=4000), SGVBB(samples=4000)):
        model.objective = objective
        values.append(model.terms(x, y))
    for name in ("nll", "kl", "classification"):
        torch.testing.assert_close(values[0][name], values[1][name], rtol=0, atol=0.1)


def test_a_label_teaches_the_classifier_by_its_own_term_alone(batch):
    x, _ = batch
    model = m2()
    terms = model.terms(x, torch.zeros(6, dtype=torch.int64))
    (terms["nll"] + terms["kl"]).sum().backward()
    assert all(not p.grad.any() for p in model.classifier.parameters())
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.encoder.parameters())
    model.zero_grad()
    terms = model.terms(x, torch.full((6,), -1))
    (terms["nll"] + terms["kl"]).sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.classifier.parameters())


def test_alpha_weighs_the_mean_over_the_labelled_images():
    model = m2(alpha=0.3)
    assert model.weights(Counts(images=1000, labelled=1000)) == {"nll": 1, "kl": 1, "classification": 0.3}
    assert model.weights(Counts(images=1000, labelled=100)) == {"nll": 1, "kl": 1, "classification": pytest.approx(3)}


def test_labels_that_are_not_known_are_guessed_for_the_code(batch):
    x, y = batch
    model = m2()
    guess = model.classify(x).argmax(1)
    torch.testing.assert_close(model.classify(x).exp().sum(1), torch.ones(6))
    filled = torch.where(y >= 0, y, guess)
    assert torch.equal(model.fill_labels(x, y), filled)
    torch.testing.assert_close(model.encode(x, y), model.encode(x, filled))
    torch.testing.assert_close(model.encode(x), model.encode(x, guess))
    z = model.encode(x)
    assert not torch.allclose(model.decode(z, filled).mean, model.decode(z, (filled + 1) % CLASSES).mean)
    assert model.sample(5).shape == model.sample(5, torch.zeros(5, dtype=torch.int64)).shape == (5, *SHAPE)
    assert model.filters().shape == (7, *SHAPE)
    for labels in (y, None):
        with pytest.raises(UserError, match="label"):
            model.decode(z, labels)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ConfigError, match="architecture=m2"):
        M2(SHAPE, 0, MLP([3]), Bernoulli(), SGVBB())
    with pytest.raises(ConfigError, match="sgvb_b"):
        m2(objective=IWAE())


def weights(outcome):
    return torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.usefixtures("few_digits")
class TestCommandLine:
    @pytest.fixture(autouse=True)
    def singly(self, exactly):
        torch.set_default_dtype(torch.float32)

    def test_no_label_of_the_others_is_ever_read(self, run, monkeypatch):
        """Whatever they are, the weights are the same bit for bit; another choice of labelled images is not."""
        load, chosen = MNIST.load, []

        def remember(*arguments):
            chosen.append(balanced_choice(*arguments))
            return chosen[-1]

        monkeypatch.setattr(dataset, "balanced_choice", remember)
        first = run("samples=600", *QUICK)
        assert first.status == 0, first.err

        def others_shuffled(source):
            splits = load(source)
            labels = splits.train.labels.flip(0)
            labels[chosen[0]] = splits.train.labels[chosen[0]]
            assert not torch.equal(labels, splits.train.labels)
            return Splits(Images(splits.train.pixels, labels), splits.test)

        monkeypatch.setattr(dataset, "balanced_choice", lambda *_: chosen[0])
        monkeypatch.setattr(MNIST, "load", others_shuffled)
        second = run("samples=600", *QUICK)
        assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
        assert first.results["train/error"] == second.results["train/error"]
        monkeypatch.setattr(dataset, "balanced_choice", balanced_choice)
        monkeypatch.setattr(MNIST, "load", load)
        other = run("samples=600", "dataset.split_seed=1", *QUICK)
        assert not all(torch.equal(value, weights(other)[name]) for name, value in weights(first).items())

    def test_goes_on_where_it_stopped(self, run):
        quick = ["dataset.binarization=dynamic", "dataset.train_size=333", *QUICK]
        whole, stopped = run("samples=2600", *quick), run("samples=700", *quick)
        assert run(f"resume={stopped.directory}", "samples=2600").status == 0
        assert all(torch.equal(value, weights(stopped)[name]) for name, value in weights(whole).items())
        assert stopped.results["samples"] == 2600
        assert stopped.results["test/error"] == whole.results["test/error"]

    def test_the_error_is_the_share_of_wrong_guesses(self, run):
        outcome = run("samples=6000", "optimizer.lr=0.01", "architecture.alpha=10", *QUICK)
        results = outcome.results
        for split, labelled, rarest in (("train", 100, 10), ("test", 100, 2)):
            assert results[f"{split}/error"] == pytest.approx(share_of_wrong_guesses(outcome.directory, split))
            assert results[f"{split}/labelled"] == labelled
            assert results[f"{split}/labelled_of_rarest_class"] >= rarest
        assert results["train/labelled_of_rarest_class"] == 10
        assert results["train/error"] < results["test/error"] < 0.6
        assert (results["dataset.labels"], results["dataset.split_seed"]) == (100, 0)
        assert read_metrics(outcome.directory / "metrics.csv")[-1]["test/error"] == results["test/error"]
        assert f"test/error {results['test/error']:7.2%}" in outcome.out

    def test_fully_labelled_and_with_validation(self, run):
        few = [word for word in QUICK if "labels" not in word]
        outcome = run("samples=300", "dataset.validation_size=50", *few)
        assert outcome.results["train/labelled"] == 350
        outcome = run("samples=300", "dataset.validation_size=50", *QUICK)
        assert outcome.results["train/labelled"] == 100
        assert outcome.results["validation/labelled"] == 50

    def test_a_sweep_over_the_labels_tells_the_errors(self, run, tmp_path):
        words = [word for word in QUICK if "labels" not in word]
        outcome = run("-m", "samples=200", "dataset.labels=10,100", f"hydra.sweep.dir={tmp_path / 'sweep'}", *words)
        assert outcome.status == 0, outcome.err
        assert "test error, %" in (tmp_path / "sweep" / "sweep.md").read_text()

    @pytest.mark.parametrize(
        ("labelled", "words", "told"),
        [
            (0, ["architecture=m2"], ["M2", "no training image has one"]),
            (0, ["architecture=m1_m2", "stages=null"], ["M1M2", "no training image has one"]),
            (30, ["architecture=m2", "dataset.batch_size=10"], ["labelled_per_batch=10", "dataset.batch_size=10"]),
            (30, ["architecture=cvae"], ["VAE", "every image", "370 of the train split", "70 of the test split"]),
            (99, ["architecture=ae", "head=classifier"], ["Classifier", "every image", "1 of the test split"]),
        ],
    )
    def test_so_are_sources_that_lack_labels(self, run, monkeypatch, labelled, words, told):
        load = MNIST.load

        def lacking(source):
            return Splits(*(self.first_labelled(part, labelled) for part in (load(source).train, load(source).test)))

        monkeypatch.setattr(MNIST, "load", lacking)
        optional = [word for word in QUICK if word.partition("=")[0] not in ("architecture", "dataset.labels")]
        outcome = run("samples=200", *optional, *words)
        assert outcome.status == 1
        assert "Traceback" not in outcome.err
        assert all(word in outcome.err for word in told), outcome.err

    @staticmethod
    def first_labelled(images, count):
        return Images(images.pixels, torch.where(torch.arange(len(images)) < count, images.labels, -1))

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["dataset.labels=15"], ["dataset.labels=15", "multiple of the 10"]),
            (["dataset.labels=0"], ["dataset.labels=0", "greater than 0"]),
            (["dataset.labels=400"], ["dataset.labels=400", "40 training images of each class"]),
            (["dataset.train_size=50"], ["dataset.labels=100", "10 training images of each class"]),
            (["dataset=frey_face"], ["dataset.labels=100", "no labels"]),
            (["architecture=cvae"], ["dataset.labels=100", "architecture=m2"]),
            (["dataset.batch_size=10"], ["architecture.labelled_per_batch=10", "dataset.batch_size=10"]),
            (["architecture.alpha=-1"], ["architecture.alpha=-1"]),
            (["objective=wake_sleep"], ["WakeSleep", "sgvb_b"]),
            (["callbacks.evaluate.marginal_likelihood=true"], ["marginal_likelihood", "label"]),
        ],
    )
    def test_mistakes_are_one_message(self, run, words, told):
        keys = {word.partition("=")[0] for word in words}
        outcome = run("samples=200", *[word for word in QUICK if word.partition("=")[0] not in keys], *words)
        assert outcome.status == 1
        assert "Traceback" not in outcome.err
        assert all(word in outcome.err for word in told), outcome.err
        assert outcome.results["step"] == 0
