import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

import vae_exp
from vae_exp.dataset import Tensors
from vae_exp.errors import ConfigError, DataError, RunError
from vae_exp.foreign import PartError
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network import MLP, Network

QUICK = [
    "samples=200",
    "touch=false",
    "dataset.batch_size=50",
    "architecture.latent_dim=2",
    "logger=none",
    "callbacks.figures=null",
]
QUICK += ["callbacks.evaluate.decades=0.3"]


class Mine(Network):
    """A network of the user's own, built of ours."""

    def __init__(self, wrong=False):
        self.wrong = wrong

    def encoder(self, shape, context, out_features, activation="identity"):
        return MLP([8]).encoder(shape, context, out_features + self.wrong, activation)

    def decoder(self, in_features, shape, encoder=None):
        return MLP([8]).decoder(in_features, shape, encoder)


class Count(Callback):
    batches = 0

    def on_train_batch_end(self, *_):
        self.batches += 1


@pytest.fixture(autouse=True)
def _somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images():
    return torch.rand(100, 6, 5, generator=torch.Generator().manual_seed(0)), np.arange(100) % 3


def test_objects_take_the_place_of_groups_and_the_record_says_what_cannot_be_rebuilt(images):
    likelihood, count = Gaussian("shared"), Count()
    before = [value.clone() for value in likelihood.parameters()]
    parts = {"network": Mine(), "likelihood": likelihood}
    # the keys that this experiment sets for its own network have no meaning for the object
    run = vae_exp.train("+experiment=keras_mlp_vae", *QUICK, data=images, callbacks=[count], **parts)
    assert count.batches > 0
    assert [torch.equal(*pair) for pair in zip(likelihood.parameters(), before, strict=True)] == [True]
    assert (run.metrics["dataset"], run.metrics["network"]) == ("object", "object")
    assert run.metrics["shape"] == [1, 6, 5]
    assert run.metrics["classes"] == ["0", "1", "2"]
    assert sorted(run.metrics["objects"]) == ["callbacks.object_0", "dataset.source", "likelihood", "network"]
    assert run.metrics["objects"]["network"].endswith(".Mine")
    assert run.config.network.object.endswith(".Mine")
    assert "train (100, 6, 5) float32, train_labels (100,) int64; SHA-256 " in run.config.dataset.source.object
    z, labels = run.encode("test")
    assert (z.shape, sorted({*labels.tolist()})) == ((20, 2), [0, 1, 2])

    with pytest.raises(RunError, match=r"network \(.*Mine\), likelihood \(.*Gaussian\).*network=…, likelihood=…"):
        vae_exp.load_run(run.path)
    loaded = vae_exp.load_run(run.path, **parts)
    assert np.array_equal(loaded.encode(images[0][:, None]).z, run.encode(images[0][:, None]).z)
    with pytest.raises(RunError, match="data=…"):
        loaded.encode("test")
    assert np.array_equal(vae_exp.load_run(run.path, data=Tensors(*images), **parts).encode("test").z, z)

    more = f"resume={run.path}", "samples=400"
    with pytest.raises(ConfigError, match=r"dataset\.source, network, likelihood: stands for .*data=…, network=…"):
        vae_exp.train(*more)
    with pytest.raises(RunError, match=r"dataset\.source\.object: is train"):
        vae_exp.train(*more, data=images[0], **parts)
    assert vae_exp.train(*more, data=images, **parts).metrics["samples"] == 400


def test_our_own_objects_give_the_numbers_of_their_words(images, tmp_path):
    np.savez(tmp_path / "mine.npz", x=images[0].numpy(), y=images[1])
    words = ["dataset=arrays", f"dataset.source.path={tmp_path / 'mine.npz'}", "network.hidden_sizes=[9]"]
    by_words = vae_exp.train(*words, *QUICK)
    by_objects = vae_exp.train(*QUICK, data=images, network=MLP([9]), likelihood=Bernoulli())
    assert by_words.rows[-1]["test/bound"] == by_objects.rows[-1]["test/bound"]
    assert by_words.metrics.keys() - by_objects.metrics.keys() == {"network.hidden_sizes", *extra(by_words)}


def extra(run):
    """The keys that only groups have."""
    groups = ("dataset.source.", "network.")
    return {key for key in run.metrics if key.startswith(groups) and not key.endswith("_target_")}


REFUSED = [
    ({"network": nn.Linear(2, 3)}, "network: a vae_exp.network.base.Network is needed, not Linear"),
    ({"network": MLP}, "not the class MLP: pass an object of it"),
    ({"likelihood": "gaussian"}, "is needed, not str"),
    ({"data": 3}, "a pair (images, labels) or a mapping of arrays is needed, not a int"),
    ({"callbacks": Count()}, "callbacks: a list of callbacks is needed"),
    ({"callbacks": [Count]}, "callbacks[0]: "),
    ({"callbacks": [ModelCheckpoint()]}, "callbacks.object_0.dirpath: a folder is needed"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_an_object_of_another_kind_is_refused(arguments, message, images):
    with pytest.raises(ConfigError) as caught:
        vae_exp.train(*QUICK, **({"data": images} | arguments))
    assert message in str(caught.value)


def test_an_object_that_does_not_keep_its_contract_is_refused(images):
    with pytest.raises(PartError, match=r"network: .* must be a tensor of floats \(2, 4\), and its shape is \(2, 5\)"):
        vae_exp.train(*QUICK, data=images, network=Mine(wrong=True))
    with pytest.raises(ConfigError, match="network=conv: the network is passed as an object"):
        vae_exp.train(*QUICK, "network=conv", data=images, network=Mine())
    with pytest.raises(DataError, match="train holds"):
        vae_exp.train(*QUICK, data=np.array(["a", "b"]))
