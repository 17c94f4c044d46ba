"""What a page has of a model."""

import base64

import numpy as np
import pytest
import torch

from vae_exp.evaluation.pca import principal_components
from vae_exp.results.load import load_run
from vae_exp.results.touch.content import content_of
from vae_exp.results.touch.examples import Examples

pytestmark = pytest.mark.usefixtures("few_digits")


def numbers(stored):
    (kind,) = stored
    return np.frombuffer(base64.b64decode(stored[kind]), f"<{kind}")


def test_weights_are_rounded_only_if_the_images_stay_and_codes_are_those_of_the_run(trained):
    run = load_run(trained)
    examples = Examples.of(run)
    weight = run.model.decoder.layers[2].weight
    weight.mul_(1e6).sub_(weight.mean())  # float16 ends at 65504
    before = weight.clone()
    content = content_of(run, "", examples)
    assert (content["precision"], content["roundingError"]) == ("float32", None)
    assert torch.equal(weight, before)
    assert any(np.array_equal(numbers(one).ravel(), before.T.numpy().ravel()) for one in content["constants"])

    code = torch.from_numpy(run.encode("test").z)
    np.testing.assert_allclose(numbers(content["codes"]["numbers"]).reshape(-1, 20), code, atol=1e-3, rtol=1e-3)
    kl = [sum(row) / len(row) for row in zip(*_kl(run), strict=True)]
    np.testing.assert_allclose(content["kl"], kl, rtol=1e-4, atol=1e-6)
    axes = principal_components(code, 20)
    np.testing.assert_allclose(np.square(content["axes"]["spread"]), axes.variances, rtol=1e-3, atol=1e-7)


def _kl(run):
    """KL(q‖p) of every latent of each test image, by the formula (arXiv 1312.6114, appendix B)."""
    ((x, _),) = run.data.evaluation_batches("test", 100)
    q = run.model.posterior(x)
    return (-0.5 * (1 + q.log_variance - q.mean**2 - q.variance)).double().tolist()
