"""The part of a run's page that shows which latents carry information, and since when others do not."""

import math
import re
from dataclasses import dataclass
from typing import Any

from vae_exp.results.metrics import KL_PER_LATENT
from vae_exp.results.report.page import Bars, Table

INACTIVE = 0.01
"""A latent that carries less than this, in nats, carries nothing that the decoder can use."""

Rows = list[dict[str, float]]


@dataclass(frozen=True)
class Latent:
    """The KL of one latent over the evaluations.

    Args:
        number: Its index.
        points: (samples, KL in nats) of every evaluation, in order.
    """

    number: int
    points: list[tuple[float, float]]

    @property
    def last(self) -> float:
        """The KL at the last evaluation."""
        return self.points[-1][1]

    @property
    def highest(self) -> tuple[float, float]:
        """The samples at which the KL was highest, and this KL."""
        return max(self.points, key=lambda point: point[1])

    @property
    def inactive_since(self) -> float | None:
        """The samples of the first of the last evaluations that all have a KL below `INACTIVE`; None without any."""
        since = None
        for samples, kl in reversed(self.points):
            if kl >= INACTIVE:
                break
            since = samples
        return since


def latents_of(rows: Rows, split: str = "test") -> list[Latent]:
    """Read the latents from the rows of `kl_per_latent.csv`."""
    prefix = f"{split}/{KL_PER_LATENT}/"
    names = [name for name in (rows[0] if rows else {}) if re.fullmatch(rf"{prefix}\d+", name, re.ASCII)]
    points = {name: [(row["samples"], row[name]) for row in rows if math.isfinite(row[name])] for name in names}
    return [Latent(int(name.removeprefix(prefix)), points[name]) for name in names if points[name]]


def verdict(latents: list[Latent], settings: dict[str, Any]) -> str:
    """Say how many latents carry nothing, since when, and what to try.

    Args:
        latents: The latents, at least one.
        settings: The values of the config under their keys on the command line.
    """
    since = [latent.inactive_since for latent in latents]
    dead = [samples for samples in since if samples is not None]
    if not dead:
        return f"Each of the {len(latents)} latents carries at least {INACTIVE} nats."
    first = latents[0].points[0][0]
    when = f"the first evaluation ({first:,.0f} samples)" if max(dead) == first else f"{max(dead):,.0f} samples"
    carry = "has carried" if len(dead) == 1 else "have carried"
    advice = _advice(settings)
    return f"{len(dead)} of {len(latents)} latents {carry} less than {INACTIVE} nats since {when}" + (
        f"; try {advice}. If the bound does not rise, the model does not need them." if advice else "."
    )


def _advice(settings: dict[str, Any]) -> str:
    """Name the settings that keep latents alive and that the run does not use yet."""
    beta, budget = settings.get("architecture.beta"), settings.get("samples")
    if settings.get("objective._target_", "").rpartition(".")[2] not in ("SGVBB", "SGVBA", "FullVB"):
        return "a smaller architecture.latent_dim"
    ideas = []
    highest = settings.get("architecture.beta.final", beta)
    if isinstance(highest, int | float) and highest > 1:
        ideas.append(f"a smaller architecture.beta (now {highest:g})")
    if beta is not None and isinstance(budget, int):
        ideas.append(f"'architecture.beta={{warmup: {budget // 3}}}'")
    if settings.get("architecture.free_bits") == 0:
        ideas.append("architecture.free_bits=0.1")
    return ", ".join(ideas[:-1]) + " or " + ideas[-1] if len(ideas) > 1 else "".join(ideas)


def bars(latents: list[Latent], settings: dict[str, Any], active_units: float | None) -> Bars:
    """Draw the KL of every latent at the last evaluation, the largest first."""
    note = verdict(latents, settings)
    if any(latent.inactive_since is not None for latent in latents):
        note += f" Orange: below {INACTIVE} nats."
    if active_units is not None:
        note += f" Active units: {active_units:,.0f} of {len(latents)} (the posterior mean varies by more than 0.01)."
    ordered = sorted(latents, key=lambda latent: -latent.last)
    return Bars("KL of every latent", [(str(latent.number), latent.last) for latent in ordered], INACTIVE, "nats", note)


def table(latents: list[Latent]) -> Table:
    """Make the table that says when each latent carried most, and since when it carries nothing."""
    columns = ["latent", "KL, nats", "highest KL, nats", "at samples", f"below {INACTIVE} nats since"]
    rows = [[one.number, one.last, one.highest[1], one.highest[0], one.inactive_since] for one in latents]
    return Table("Latents", columns, rows)
