import numpy as np
import scipy.stats
import torch

from vae_exp.likelihood.laplace import Laplace


def test_it_is_scipys():
    torch.manual_seed(0)
    features, x = torch.randn(5, 2, 3, 2, dtype=torch.float64), torch.rand(5, 1, 3, 2, dtype=torch.float64)
    loc, log_scale = features.chunk(2, 1)
    expected = scipy.stats.laplace.logpdf(x, torch.sigmoid(loc), log_scale.exp()).sum((1, 2, 3))
    np.testing.assert_allclose(Laplace(min_scale=1e-6)(features).log_prob(x), expected, rtol=1e-12)
