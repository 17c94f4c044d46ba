"""Linear layers by oneDNN."""

import pytest
import torch
from torch.func import functional_call, grad_and_value

from vae_exp.likelihood import unvalidated
from vae_exp.network.linear import AVAILABLE, Linear, by_onednn, fast_linear
from vae_exp.training.engine import compiled

needs_compiler = pytest.mark.skipif(not compiled.has_compiler(), reason="torch.compile needs a C++ compiler")
needs_onednn = pytest.mark.skipif(not AVAILABLE, reason="this PyTorch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("layout", [lambda a: a, lambda a: a.t().contiguous().t()], ids=["by row", "by column"])
def test_onednn_product_is_the_exact_one(layout):
    x, weight, bias = layout(torch.randn(90, 400)), layout(torch.randn(300, 400)), torch.randn(300)
    exact = x.double() @ weight.double().T + bias.double()
    torch.testing.assert_close(by_onednn(x, weight, bias).double(), exact, rtol=1e-5, atol=1e-4)


@needs_onednn
def test_fast_linear_takes_over_inside_its_context_only(monkeypatch):
    calls = []
    monkeypatch.setattr("vae_exp.network.linear.by_onednn", lambda *a: calls.append(a) or by_onednn(*a))
    layer, x = Linear(784, 500), torch.rand(100, 784)
    layer(x)
    assert not calls
    with fast_linear(True):
        layer(x)
        assert len(calls) == 1
        layer(x[:1])  # too small to gain
        layer.double()(x.double())  # oneDNN has no float64
        with fast_linear(False):
            layer.float()(x)
        with torch.autocast("cpu", torch.bfloat16):
            layer(x)
    layer(x)
    assert len(calls) == 1


@needs_compiler
def test_a_large_product_keeps_its_derivative_in_a_compiled_program():
    """PyTorch 2.14 dropped the backward of an autograd.Function there: the gradients were zero."""
    layer, x = Linear(784, 120), torch.rand(100, 784)
    values = {name: p.detach() for name, p in layer.named_parameters()}
    of = grad_and_value(lambda values: functional_call(layer, values, (x,)).square().sum(1).mean())
    expected, _ = of(values)
    torch.compiler.reset()
    # torch.compile turns off the checks of distributions and leaves them off; the fault is in tracing, before any code
    with fast_linear(True), unvalidated():
        found, _ = torch.compile(of, fullgraph=True, dynamic=False, backend="aot_eager")(values)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
