import pytest
import torch

from vae_exp.objective import MMD

D = 3


def mmd_of_normals(kernel, shift):
    """Draws of MMD² between N(shift, I) and N(0, I) from 60 codes each: their mean and its standard error."""
    torch.manual_seed(0)
    draws = [MMD(kernel=kernel).discrepancy(shift + torch.randn(60, D), torch.randn(60, D)) for _ in range(300)]
    values = torch.stack(draws)
    return values.mean().item(), (values.std() / len(values) ** 0.5).item()


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_it_is_zero_on_average_only_between_equal_distributions(exactly, kernel):
    mean, error = mmd_of_normals(kernel, 0.0)
    assert abs(mean) < 4 * error
    mean, error = mmd_of_normals(kernel, 0.5)
    assert mean > 10 * error


def test_of_normals_it_is_known_in_closed_form(exactly):
    """E exp(−‖z − z'‖²/(2D)) of z ~ N(m, I) and z' ~ N(0, I) is (1 + 2/D)^(−D/2) exp(−‖m‖²/(2(D + 2)))."""
    mean, error = mmd_of_normals("rbf", 0.5)
    expected = 2 * (1 + 2 / D) ** (-D / 2) * (1 - torch.tensor(-D * 0.25 / (2 * (D + 2))).exp().item())
    assert mean == pytest.approx(expected, abs=4 * error)


def test_equal_codes_have_a_finite_gradient():
    codes = torch.zeros(4, D, requires_grad=True)
    MMD().discrepancy(codes, torch.randn(4, D)).backward()
    assert codes.grad.isfinite().all()
    assert MMD(weight=7.0).weights == {"mmd": 7.0}
