import html
import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import vae_exp
from vae_exp.errors import ConfigError, InputError

pytestmark = pytest.mark.usefixtures("few_digits")
SHAPE = (28, 28)


@pytest.fixture
def conditional(run):
    """A run of a model with two latents that is given the labels."""
    words = ["samples=200", "network.hidden_sizes=[8]", "logger=none", "callbacks.evaluate.decades=1"]
    outcome = run("architecture=cvae", "architecture.latent_dim=2", "callbacks.figures.manifold_side=2", *words)
    assert outcome.status == 0, outcome.err
    return vae_exp.load_run(outcome.directory)


def test_a_run_encodes_reconstructs_samples_and_interpolates(trained):
    run = vae_exp.load_run(trained)
    state = torch.get_rng_state()
    z, labels = run.encode("test")
    x = next(iter(run.data.evaluation_batches("test", 100)))[0]
    assert np.array_equal(z, run.model.encode(x).numpy())
    assert np.array_equal(labels, run.data.splits["test"].labels.numpy())
    assert np.array_equal(run.encode(x[:7].numpy()).z, run.encode(x[:7]).z)
    assert run.encode(x[:7]).labels.tolist() == [-1] * 7
    assert np.array_equal(run.reconstruct()[:7], run.model.decode(run.model.encode(x[:7])).mean.numpy())
    assert run.sample(3).shape == (3, 1, *SHAPE)
    assert np.array_equal(run.sample(3), run.sample(3))
    assert not np.array_equal(run.sample(3), run.sample(3, seed=1))
    path = run.interpolate(4, 9, steps=5)
    assert path.shape == (5, 1, *SHAPE)
    np.testing.assert_allclose(path[[0, -1]], run.reconstruct()[[4, 9]], atol=1e-6)
    np.testing.assert_allclose(path, run.interpolate(x[4], x[9].numpy(), steps=5), atol=1e-6)
    assert torch.equal(torch.get_rng_state(), state)


def test_labels_are_used_where_the_model_takes_them(conditional):
    z, labels = conditional.encode("test")
    x = next(iter(conditional.data.evaluation_batches("test", 100)))[0]
    assert np.array_equal(conditional.encode(x, labels).z, z)
    with pytest.raises(InputError, match="needs the label of every image"):
        conditional.encode(x)
    with pytest.raises(InputError, match="have labels of their own"):
        conditional.encode("test", labels)
    ends = conditional.interpolate(0, 1, steps=2)
    np.testing.assert_allclose(ends, conditional.reconstruct(x[:2], labels[:2]), atol=1e-6)
    assert conditional.sample(2, labels=[3, 4]).shape == (2, 1, *SHAPE)
    for draw in ("curves", "samples", "reconstructions", "scatter", "manifold"):
        figure = getattr(conditional.plot, draw)()
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")
    page = conditional._repr_html_()
    assert page.count("<img ") == 5
    assert f"{conditional.metrics['test/bound']:,.2f}" in page
    assert repr(conditional).startswith(f"Run('{conditional.path}', completed, test/bound ")


def test_the_summary_is_text_whatever_the_run_directory_says(trained):
    text = "<script>alert(1)</script>"
    results = json.loads((trained / "results.json").read_text()) | {"device": text}
    (trained / "results.json").write_text(json.dumps(results))
    page = vae_exp.load_run(trained)._repr_html_()
    assert text not in page
    assert html.escape(text) in page


def test_the_history_is_a_data_frame(trained):
    run = vae_exp.load_run(trained)
    assert list(run.history["test/bound"]) == [row["test/bound"] for row in run.rows]


MISTAKES = {
    "tset": (lambda run: run.encode("tset"), ConfigError, "tset: the run has no such split. Allowed: test, train"),
    "bytes": (lambda run: run.encode(np.zeros((2, 1, *SHAPE), np.uint8)), InputError, "x: is uint8"),
    "one image": (lambda run: run.encode(np.zeros(SHAPE)), InputError, "x: images"),
    "position": (lambda run: run.interpolate(0, 100), InputError, "100: the test split has the positions 0 to 99"),
    "shape": (lambda run: run.interpolate(np.zeros(3), 1), InputError, r"an image \(1, 28, 28\) or a position"),
    "steps": (lambda run: run.interpolate(0, 1, steps=1), InputError, "steps=1: a whole number"),
    "latents": (lambda run: run.plot.manifold(), ConfigError, "it needs two latents"),
    "n": (lambda run: run.sample(-1), InputError, "n=-1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message(trained, mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        call(vae_exp.load_run(trained))
