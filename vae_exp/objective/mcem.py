"""Monte Carlo expectation maximisation, without an encoder (arXiv 1312.6114, appendix E)."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Interval
from pydantic import PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from vae_exp.dataset.serving import Serving
from vae_exp.hmc import STEP_SIZE_GAIN, Chains, hmc
from vae_exp.objective.base import Decode, HasEStep, IgnoresPrior, Objective, Terms
from vae_exp.prior.base import Encode

MOVED_AT_ONCE = 500
"""Number of images whose latents an E step moves together: few enough for their data to fit in the CPU's cache."""


class MCEM(Objective, HasEStep, IgnoresPrior):
    """Monte Carlo EM, without an encoder (Wei and Tanner 1990; arXiv 1312.6114, appendix E).

    Every training image keeps its latents from one E step to the next. The first latents are draws from the prior. The
    E step moves all of them by one HMC trajectory on p(z|x). The M step makes several updates of the decoder on
    −log p(x|z), each on all images: the algorithm is not online. Every leapfrog step counts as an evaluation of the
    images, and so does every update: the paper's curves begin after 15·N evaluations.

    Args:
        samples: Number of latents per image.
        updates: Number of updates in every M step.
        leapfrog_steps: Number of leapfrog steps in the trajectory.
        acceptance: The target acceptance rate, to which one step size for all images is tuned.
        online: Do both steps on minibatches instead. An image still keeps its latents until it is visited again.
    """

    terms = ("nll",)
    z: Tensor
    step_size: Tensor
    batch: Tensor

    def __init__(
        self,
        samples: PositiveInt = 1,
        updates: PositiveInt = 5,
        leapfrog_steps: PositiveInt = 10,
        acceptance: Annotated[float, Interval(gt=0, lt=1)] = 0.9,
        online: bool = False,
    ) -> None:
        super().__init__()
        self.samples = samples
        self.updates = updates
        self.leapfrog_steps = leapfrog_steps
        self.acceptance = acceptance
        self.evaluations = self.evaluations_left = leapfrog_steps + updates
        self.serving = Serving(full=not online, repeats=self.evaluations)
        # not persistent: the number of images is not known when a model is loaded
        self.register_buffer("z", torch.empty(0), persistent=False)
        self.register_buffer("step_size", torch.tensor(0.1), persistent=False)
        self.register_buffer("batch", torch.empty(0, dtype=torch.int64), persistent=False)

    def begin(self, images: int, p: Distribution) -> None:
        """Draw the latents of every image from the prior, unless a checkpoint has restored them."""
        if not len(self.z):
            self.z = p.sample((self.samples, images))

    def e_step(
        self, x: Tensor, index: Tensor, p: Distribution, decode: Callable[[Tensor, Tensor], Distribution]
    ) -> bool:
        """Move the latents if the batch is new or has had all its updates.

        Returns:
            Whether the M step updates the weights at this evaluation.
        """
        if not self.evaluations_left or not torch.equal(index, self.batch):
            self._move(x, index, p, decode)
            self.batch = index
            self.evaluations_left = self.evaluations
        self.evaluations_left -= 1
        self.z_of_batch = self.z[:, index]
        return self.evaluations_left < self.updates

    @torch.no_grad()
    def _move(
        self, x: Tensor, index: Tensor, p: Distribution, decode: Callable[[Tensor, Tensor], Distribution]
    ) -> None:
        acceptance = []
        for rows in torch.arange(len(x), device=x.device).split(MOVED_AT_ONCE):

            def log_joint(z: Tensor, rows: Tensor = rows) -> Tensor:
                value: Tensor = p.log_prob(z) + decode(z, rows).log_prob(x[rows])
                return value

            start = Chains(self.z[:, index[rows]], self.step_size.expand(len(rows)), self.step_size)
            moved = hmc(log_joint, start, 1, self.leapfrog_steps)
            self.z[:, index[rows]] = moved.z
            acceptance.append(moved.acceptance)
        self.step_size = self.step_size * torch.exp(STEP_SIZE_GAIN * (torch.cat(acceptance).mean() - self.acceptance))

    def forward(self, x: Tensor, encode: Encode, p: Distribution, decode: Decode) -> Terms:
        """Compute `nll`, (B,) in nats per image, at the latents of the last E step."""
        return {"nll": -decode(self.z_of_batch).log_prob(x).mean(0)}

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        state = {"z": self.z, "step_size": self.step_size, "batch": self.batch}
        return state | {"evaluations_left": self.evaluations_left}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `get_extra_state` returned."""
        device = self.z.device
        self.z, self.step_size, self.batch = (state[name].to(device) for name in ("z", "step_size", "batch"))
        self.evaluations_left = state["evaluations_left"]
