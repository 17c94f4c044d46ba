import numpy as np
import pytest
import torch

from vae_exp.figures.rows import strips


def drawn(figure, panel=0):
    """The pixels that a figure's panel shows."""
    return np.asarray(figure.axes[panel].images[0].get_array())


def test_rows_are_strips_of_standard_deviations():
    like = torch.arange(12.0).view(4, 1, 1, 3)
    figure = strips({"input": like, "output": like[:2] + 1e9}, like, "title")
    assert drawn(figure)[:, 0] == pytest.approx((np.arange(4) - 1.5) / np.arange(4).std())
    assert drawn(figure, 1).shape == (2, 3)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["input", "output"]
