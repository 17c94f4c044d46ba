"""The matrix products of a compiled program."""

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from vae_exp.training.engine.products import TurnProducts

bmm, permute = torch.ops.aten.bmm.default, torch.ops.aten.permute.default


def turned(function, *arguments):
    graph = make_fx(function, tracing_mode="fake")(*arguments)
    TurnProducts()(graph.graph)
    graph.recompile()
    return graph


def test_the_transpose_of_a_batched_product_lies_in_order():
    a, b = torch.randn(3, 4, 5), torch.randn(3, 5, 6)

    def transposed(a, b):
        return permute(bmm(a, b), [0, 2, 1])

    expected = transposed(a, b)
    assert not expected.is_contiguous()
    found = turned(transposed, a, b)(a, b)
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected)


def test_a_product_that_is_used_as_it_is_stays():
    a, b = torch.randn(3, 4, 5), torch.randn(3, 5, 6)

    def both(a, b):
        product = bmm(a, b)
        return product, permute(product, [0, 2, 1]), permute(bmm(a, 2 * b), [1, 0, 2])

    graph = turned(both, a, b)
    assert len(graph.graph.find_nodes(op="call_function", target=bmm)) == 2
    torch.testing.assert_close(graph(a, b), both(a, b))
