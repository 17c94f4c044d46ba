"""The curves of the bound as a picture."""

from itertools import pairwise

import pytest

from vae_exp.figures.curves import Line, Panel, bound_curves


@pytest.mark.parametrize(
    ("samples", "labels"),
    [
        ([5600, 10_000, 12_000], ["5,600", "12,000"]),
        ([1000, 9999], ["1,000", "9,999"]),
        ([700], ["700"]),
        ([100, 1000, 12_000], None),
    ],
)
def test_the_labels_of_the_samples_do_not_overlap(samples, labels):
    lines = [Line("", split, [(n, -100.0 - n / 1000, 0.0) for n in samples], None) for split in ("train", "test")]
    figure = bound_curves([Panel(2, lines)], "a run")
    figure.draw_without_rendering()
    (axis,) = figure.axes
    texts = [text for text in axis.get_xticklabels(which="both") if text.get_text()]
    if labels is not None:
        assert [text.get_text() for text in texts] == labels
    boxes = sorted((box.x0, box.x1) for box in (text.get_window_extent() for text in texts))
    assert boxes
    assert all(end < start for (_, end), (start, _) in pairwise(boxes))
