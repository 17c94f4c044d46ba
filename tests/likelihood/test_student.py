import numpy as np
import pytest
import scipy.stats
import torch

from vae_exp.likelihood.student import Student


@pytest.mark.parametrize("df", [1.5, 5.0, 300.0])
def test_it_is_scipys(df):
    torch.manual_seed(0)
    features, x = torch.randn(5, 2, 3, 2, dtype=torch.float64), torch.rand(5, 1, 3, 2, dtype=torch.float64)
    loc, log_scale = features.chunk(2, 1)
    expected = scipy.stats.t.logpdf(x, df, torch.sigmoid(loc), log_scale.exp()).sum((1, 2, 3))
    np.testing.assert_allclose(Student(min_scale=1e-6, df=df)(features).log_prob(x), expected, rtol=1e-11)


@pytest.mark.parametrize("df", [1.5, 2.5, 7.0])
def test_mean_variance_and_draws_are_scipys(df):
    torch.manual_seed(0)
    features = torch.tensor([0.4, -1.0], dtype=torch.float64).view(1, 2, 1, 1)
    p, theirs = Student(df=df)(features), scipy.stats.t(df, torch.sigmoid(features[0, 0]).item(), np.exp(-1.0))
    assert p.mean.item() == pytest.approx(theirs.mean())
    assert p.variance.item() == pytest.approx(theirs.var())
    assert scipy.stats.kstest(p.sample((4000,)).flatten().numpy(), theirs.cdf).pvalue > 1e-3
