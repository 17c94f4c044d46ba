"""Evaluations and E steps take float32 as it is, whatever the training takes."""

from contextlib import nullcontext

import pytest
import torch
from tiny import SHAPE, batches, vae
from torch import backends

from vae_exp.evaluation import evaluate
from vae_exp.likelihood import Bernoulli, Gaussian
from vae_exp.network.precision import OPERATIONS, full_precision
from vae_exp.objective import MCEM


@pytest.fixture(autouse=True)
def exactly():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def precisions():
    return [operation.fp32_precision for operation in OPERATIONS]


@pytest.mark.parametrize(
    ("fails", "ends"), [(False, nullcontext()), (True, pytest.raises(ZeroDivisionError))], ids=["completed", "failed"]
)
def test_an_evaluation_takes_float32_as_it_is_and_then_what_was_taken_before(monkeypatch, fails, ends):
    """The flags of a GPU: PyTorch lets its convolutions take TF32 unless it is told not to."""
    seen = []
    model, pixels = vae(Gaussian()), torch.zeros(3, *SHAPE, dtype=torch.uint8)

    def terms(x, y, q):
        seen.append((backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, *precisions()))
        if fails:
            raise ZeroDivisionError
        return {"nll": x.flatten(1).sum(1), "kl": x.flatten(1).sum(1)}

    monkeypatch.setattr(model, "terms_of_bound", terms)
    torch.set_float32_matmul_precision("medium")
    try:
        before = [backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), *precisions()]
        assert before[:2] == [True, "medium"]
        with ends:
            evaluate(model, batches(pixels))
        assert seen == [(False, False, *["ieee"] * len(OPERATIONS))]
        assert before == [backends.cudnn.allow_tf32, torch.get_float32_matmul_precision(), *precisions()]
    finally:
        torch.set_float32_matmul_precision("highest")


def test_full_precision_also_where_pytorchs_newer_flags_were_set():
    before = backends.cuda.matmul.fp32_precision
    backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with full_precision():
            assert precisions() == ["ieee"] * len(OPERATIONS)
        assert backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        backends.cuda.matmul.fp32_precision = before


def test_an_e_step_is_in_full_precision_too(monkeypatch):
    """Differences of energies do not survive rounding."""
    model, seen = vae(Bernoulli(), MCEM()), []
    monkeypatch.setattr(model.objective, "e_step", lambda *_: seen.append(precisions()) or True)
    model.e_step(torch.zeros(2, *SHAPE), torch.full((2,), -1), torch.arange(2))
    assert seen == [["ieee"] * len(OPERATIONS)]
