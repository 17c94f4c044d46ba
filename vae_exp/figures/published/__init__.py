"""The published curves of Auto-Encoding Variational Bayes (arXiv 1312.6114), for comparison.

`aevb_curves.csv` holds the values of Figures 2 and 3, measured in the paper's vector plots at log-spaced sample counts.
Figure 2 shows the bound, Figure 3 the estimated marginal likelihood, both in nats per image.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CURVES = Path(__file__).with_name("aevb_curves.csv")


@dataclass(frozen=True)
class Curve:
    """Nats per image at each count of training samples."""

    samples: tuple[int, ...]
    nats: tuple[float, ...]

    def points(self, last: float) -> list[tuple[int, float]]:
        """Return (samples, nats) up to a number of samples."""
        return [(n, nats) for n, nats in zip(self.samples, self.nats, strict=True) if n <= last]

    def at(self, samples: float) -> float | None:
        """Interpolate the curve at `samples`, linearly in log samples; None outside the range of the curve."""
        if not self.samples[0] <= samples <= self.samples[-1]:
            return None
        i = next(i for i, count in enumerate(self.samples) if count >= samples)
        if self.samples[i] == samples:
            return self.nats[i]
        left, right = math.log(self.samples[i - 1]), math.log(self.samples[i])
        share = (math.log(samples) - left) / (right - left)
        return (1 - share) * self.nats[i - 1] + share * self.nats[i]


def curve(figure: int, dataset: str, size: int, method: str, split: str) -> Curve | None:
    """Return one curve, or None if the paper does not have it.

    Args:
        figure: 2 or 3.
        dataset: `mnist` or `frey`.
        size: The latent dimension in Figure 2, the number of training images in Figure 3.
        method: `aevb`, `wake-sleep` or `mcem`.
        split: `train` or `test`.
    """
    return _curves().get((str(figure), dataset, str(size), method, split))


@cache
def _curves() -> dict[tuple[str, ...], Curve]:
    points: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    with CURVES.open(newline="") as file:
        for figure, dataset, size, method, split, samples, nats in list(csv.reader(file))[1:]:
            points.setdefault((figure, dataset, size, method, split), []).append((int(samples), float(nats)))
    columns = {key: tuple(zip(*sorted(pairs), strict=True)) for key, pairs in points.items()}
    return {key: Curve(samples, nats) for key, (samples, nats) in columns.items()}
