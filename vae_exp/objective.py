"""How a variational model is trained: estimators of the bound L = E_q[log p(x|z)] − KL(q‖p), and rivals of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vae_exp.hmc import GAIN, Chains, hmc
from vae_exp.network.bayesian import kl_of_weights, make_gaussian
from vae_exp.normal import DiagonalNormal

if TYPE_CHECKING:
    Normals = Independent[Normal]
else:  # PyTorch's class is generic for type checkers only
    Normals = Independent
"""A normal with independent components: event (latent_dim,)."""

Terms = dict[str, Tensor]
"""Named (B,) tensors in nats per image, summed over pixels and latents, unweighted."""

Encode = Callable[[Tensor], DiagonalNormal]
"""Images (B, C, H, W) to q(z|x), batch (B,) and event (latent_dim,), reparameterised."""

Decode = Callable[[Tensor], Distribution]
"""Latents (L, B, latent_dim) to p(x|z) with batch (L, B)."""

MOVED_AT_ONCE = 500
"""Images whose latents an E step moves at a time: what they need stays in the processor's cache."""


class Objective(nn.Module, ABC):
    """The terms of the loss that a variational model is trained on.

    Args:
        samples: Latents per image, L.

    Attributes:
        terms: Their names; where `kl` is among them, the model's β weighs it.
        amortized: Whether there is an encoder to train.
        online: Whether it learns from minibatches; else from all training images at once.
        evaluations: How often it evaluates a batch before the next one.
    """

    terms: ClassVar[tuple[str, ...]]
    amortized: ClassVar[bool] = True
    online: bool = True
    evaluations: int = 1

    def __init__(self, samples: PositiveInt = 1) -> None:
        super().__init__()
        self.samples = samples

    @abstractmethod
    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """The terms, each (B,) in nats per image.

        Args:
            x: Images (B, C, H, W).
            encode: To the posterior q(z|x).
            p: The prior p(z), event (latent_dim,).
            decode: To p(x|z).
        """

    def adopt(self, decoder: nn.Module) -> None:
        """Change the decoder, before anything is trained, in the way that the objective needs: by default in none."""

    def begin(self, images: int, p: Normals) -> None:
        """Prepare for so many training images, before the first of them is seen: by default nothing to do."""

    def e_step(self, x: Tensor, index: Tensor, p: Normals, decode: Callable[[Tensor, Tensor], Distribution]) -> bool:
        """What comes before an update on x, the training images number `index` (B,): by default nothing.

        Args:
            x: Images (B, C, H, W).
            index: Which of the training images they are.
            p: The prior p(z), event (latent_dim,).
            decode: Latents (L, b, latent_dim) and which images of the batch they are of (b,), to p(x|z).

        Returns:
            Whether this evaluation of the batch is one that the weights are updated by.
        """
        return True

    def bound(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`nll` and `kl`, each (B,), whose negative sum is the bound: by estimator B with one latent per image."""
        return _estimator_b(x, encode, p, decode, samples=1)


class SGVBA(Objective):
    """Estimator A: L = 1/L Σ_l [log p(x|z_l) + log p(z_l) − log q(z_l|x)] (arXiv 1312.6114, eq. 6)."""

    terms = ("nll", "kl")

    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`nll` and the sampled `kl`, each (B,) in nats per image."""
        q = encode(x)
        z, log_q = q.rsample_and_log_prob((self.samples,))
        nll = -decode(z).log_prob(x)
        kl = log_q - p.log_prob(z)
        return {"nll": nll.mean(0), "kl": kl.mean(0)}


class SGVBB(Objective):
    """Estimator B: L = 1/L Σ_l log p(x|z_l) − KL(q‖p), the KL in closed form (arXiv 1312.6114, eqs. 7 and 10)."""

    terms = ("nll", "kl")

    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`nll` and the closed `kl`, each (B,) in nats per image."""
        return _estimator_b(x, encode, p, decode, self.samples)


class IWAE(Objective):
    """The importance-weighted bound L_k = log 1/k Σ_i p(x, z_i)/q(z_i|x), z_i ~ q(z|x) (arXiv 1509.00519, eq. 8).

    Args:
        samples: k.
    """

    terms = ("iwae",)

    def __init__(self, samples: PositiveInt = 5) -> None:
        super().__init__(samples)

    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`iwae` = −L_k, (B,) in nats per image."""
        q = encode(x)
        z, log_q = q.rsample_and_log_prob((self.samples,))
        log_weights = decode(z).log_prob(x) + p.log_prob(z) - log_q
        return {"iwae": math.log(self.samples) - log_weights.logsumexp(0)}


class WakeSleep(Objective):
    """The wake-sleep algorithm (Hinton et al. 1995, Science), its phases side by side.

    Awake, latents of real images teach the decoder: −log p(x|z), z ~ q(z|x). Asleep, dreams teach the encoder:
    −log q(z|x), (x, z) ~ p. Neither phase's gradient reaches the other's network.

    A dream is a draw x ~ p(x|z). A Bernoulli draws binary images: where the data are grey, the encoder then never
    sees in its sleep what it is given awake and in evaluations. `mean` takes E[x|z] for a dream, which is grey too, and
    fits no density: x has no noise.

    Args:
        samples: L, latents per image in the wake phase.
        dream: What the encoder learns from: a `sample` of p(x|z), as in the algorithm, or its `mean`.
    """

    terms = ("wake", "sleep")

    def __init__(self, samples: PositiveInt = 1, dream: Literal["sample", "mean"] = "sample") -> None:
        super().__init__(samples)
        self.dream = dream

    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`wake` and `sleep`, each (B,) in nats per image and per dream."""
        with torch.no_grad():
            z = encode(x).sample((self.samples,))
            dreamt_z = p.sample((1, len(x)))
            dreamt = decode(dreamt_z)
            dream = dreamt.sample() if self.dream == "sample" else dreamt.mean
        wake = -decode(z).log_prob(x)
        sleep = -encode(dream[0]).log_prob(dreamt_z[0])
        return {"wake": wake.mean(0), "sleep": sleep}


class FullVB(Objective):
    """The bound on log p(X) with the decoder's weights as latents too (arXiv 1312.6114, appendix F).

    Estimator B, at weights w ~ q(w) that are drawn once per minibatch, and KL(q(w)‖p(w)) with p(w) = N(0, I/λ) in
    closed form. Evaluations are at the posterior mean of the weights.

    Args:
        samples: L, latents per image.
        precision: λ.
        weight_std: The deviation that every q(w) begins with.
    """

    terms = ("nll", "kl", "kl_weights")

    def __init__(
        self, samples: PositiveInt = 1, precision: PositiveFloat = 1.0, weight_std: PositiveFloat = 0.01
    ) -> None:
        super().__init__(samples)
        self.precision = precision
        self.weight_std = weight_std

    def adopt(self, decoder: nn.Module) -> None:
        """Give the decoder's weights their posteriors."""
        make_gaussian(decoder, self.weight_std)
        self.kl_of_weights = partial(kl_of_weights, decoder, self.precision)

    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`nll` and `kl`, each (B,) in nats per image; `kl_weights` in nats per data set, the same for each, (B,)."""
        kl_weights = self.kl_of_weights().expand(len(x))
        return _estimator_b(x, encode, p, decode, self.samples) | {"kl_weights": kl_weights}


class MCEM(Objective):
    """Monte Carlo EM, without an encoder (Wei and Tanner 1990; arXiv 1312.6114, appendix E).

    Every training image keeps its latents, which begin as draws from the prior. E step: a trajectory of HMC moves all
    of them on p(z|x). M step: some updates of the decoder on −log p(x|z), each by all images: it is no online
    algorithm. Every leapfrog step counts as an evaluation of the images, as every update does: the paper's curves
    begin after 15·N of them.

    Args:
        samples: Latents per image.
        updates: In every M step.
        leapfrog_steps: Of the trajectory.
        acceptance: The rate that the step size, one for all images, is tuned to.
        online: Take the two steps by minibatches instead. An image's latents still stay from one visit to the next.
    """

    terms = ("nll",)
    amortized = False
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
        super().__init__(samples)
        self.updates = updates
        self.leapfrog_steps = leapfrog_steps
        self.acceptance = acceptance
        self.online = online
        self.evaluations = self.evaluations_left = leapfrog_steps + updates
        # not persistent: how many images there are is not known when a model is loaded
        self.register_buffer("z", torch.empty(0), persistent=False)
        self.register_buffer("step_size", torch.tensor(0.1), persistent=False)
        self.register_buffer("batch", torch.empty(0, dtype=torch.int64), persistent=False)

    def begin(self, images: int, p: Normals) -> None:
        """Draw every image's latents from the prior, unless a checkpoint has brought them."""
        if not len(self.z):
            self.z = p.sample((self.samples, images))

    def e_step(self, x: Tensor, index: Tensor, p: Normals, decode: Callable[[Tensor, Tensor], Distribution]) -> bool:
        """Move the latents of a new batch, or of one that has had its updates."""
        if not self.evaluations_left or not torch.equal(index, self.batch):
            self._move(x, index, p, decode)
            self.batch = index
            self.evaluations_left = self.evaluations
        self.evaluations_left -= 1
        self.z_of_batch = self.z[:, index]
        return self.evaluations_left < self.updates

    @torch.no_grad()
    def _move(self, x: Tensor, index: Tensor, p: Normals, decode: Callable[[Tensor, Tensor], Distribution]) -> None:
        acceptance = []
        for some in torch.arange(len(x), device=x.device).split(MOVED_AT_ONCE):

            def log_joint(z: Tensor, some: Tensor = some) -> Tensor:
                value: Tensor = p.log_prob(z) + decode(z, some).log_prob(x[some])
                return value

            start = Chains(self.z[:, index[some]], self.step_size.expand(len(some)), self.step_size)
            moved = hmc(log_joint, start, 1, self.leapfrog_steps)
            self.z[:, index[some]] = moved.z
            acceptance.append(moved.acceptance)
        self.step_size = self.step_size * torch.exp(GAIN * (torch.cat(acceptance).mean() - self.acceptance))

    def forward(self, x: Tensor, encode: Encode, p: Normals, decode: Decode) -> Terms:
        """`nll`, (B,) in nats per image, at the latents of the last E step."""
        return {"nll": -decode(self.z_of_batch).log_prob(x).mean(0)}

    def get_extra_state(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        state = {"z": self.z, "step_size": self.step_size, "batch": self.batch}
        return state | {"evaluations_left": self.evaluations_left}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take it up."""
        device = self.z.device
        self.z, self.step_size, self.batch = (state[name].to(device) for name in ("z", "step_size", "batch"))
        self.evaluations_left = state["evaluations_left"]


def _estimator_b(x: Tensor, encode: Encode, p: Normals, decode: Decode, samples: int) -> Terms:
    q = encode(x)
    nll = -decode(q.rsample((samples,))).log_prob(x)
    return {"nll": nll.mean(0), "kl": kl_of_normals(q, p)}


def kl_of_normals(q: DiagonalNormal, p: Normals) -> Tensor:
    """KL(q‖p) of normals with independent components, (B,) nats; −½ Σ (1 + log σ² − μ² − σ²) for p = N(0, I).

    (arXiv 1312.6114, eq. 10 and appendix B.)
    """
    log_ratio = q.log_variance - 2 * p.stddev.log()
    # 1 − σ² as one function of log σ²: where q is the prior its difference would be rounding
    kl: Tensor = -0.5 * (log_ratio - log_ratio.expm1() - (q.mean - p.mean).square() / p.variance).sum(-1)
    return kl
