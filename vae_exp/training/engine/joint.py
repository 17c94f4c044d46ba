"""What follows the gradients of an ensemble: the step of each member's optimizer, or of one optimizer for all."""

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from vae_exp.training.engine.member import Member
from vae_exp.training.engine.stacked import Stacked, stacked

ELEMENTWISE = (Adagrad, Adam, AdamW, RMSprop, SGD)
"""The optimizers that update each element of a parameter by itself."""


class OwnSteps:
    """Let each member clip its gradient and call its own optimizer.

    Args:
        members: The members.
        whole: Their stacked parameters, with the stacked gradients.
    """

    def __init__(self, members: Sequence[Member], whole: Stacked) -> None:
        self._members = members
        own = [member.parameters() for member in members]
        self.parameters = [parameters[name] for parameters in own for name in whole.parameters]
        """The parameters of all members that are trained."""
        self.parts = [(value, [parameters[name] for parameters in own]) for name, value in whole.parameters.items()]
        """Each stacked parameter, and the members' parameters that are parts of it."""

    def __call__(self, losses: Tensor, size: int) -> Tensor:
        """Update each member. The losses stay as they are."""
        self.apply()
        return losses

    def apply(self) -> None:
        """Update each member."""
        self.give_gradients()
        for member in self._members:
            member.step.apply()

    def give_gradients(self) -> None:
        """Let the gradients of the members be parts of the stacked ones."""
        for whole, parts in self.parts:
            for i, part in enumerate(parts):
                part.grad = None if whole.grad is None else whole.grad[..., i]


class JointStep:
    """The steps of all members by one optimizer, for a compiled program.

    It is PyTorch's optimizer with the stacked parameters (…, M) and the stacked states of the members. In a program,
    where it computes by formulas, tensors (M,) of learning rates and of step counters can take the place of numbers.

    Args:
        members: The members; `are_joinable`. They have done an update, so that their optimizers have their states.
        steps: Their own steps.
    """

    def __init__(self, members: Sequence[Member], steps: OwnSteps) -> None:
        self._members, self._steps = members, steps
        whole_of = {parts[0]: whole for whole, parts in steps.parts}
        optimizers = [member.optimizer for member in members]
        groups = [
            {**group, "params": [whole_of[part] for part in group["params"] if part in whole_of]}
            for group in optimizers[0].param_groups
        ]
        build: Callable[..., Optimizer] = type(optimizers[0])
        self._optimizer = build(groups)
        for i, group in enumerate(self._optimizer.param_groups):
            group |= {name: False for name in ("fused", "foreach") if name in group}
            rates = [optimizer.param_groups[i]["lr"] for optimizer in optimizers]
            if len(set(rates)) > 1:
                group["lr"] = torch.tensor(rates, device=steps.parts[0][0].device)
        for whole, parts in steps.parts:
            states = [optimizer.state.get(part, {}) for optimizer, part in zip(optimizers, parts, strict=True)]
            tensors = {name: [state[name] for state in states] for name in _tensors(states[0])}
            joined = {name: stacked(values).to(whole.device) for name, values in tensors.items()}
            self._optimizer.state[whole] = {**states[0], **joined}
        self._plain_step = inspect.unwrap(type(self._optimizer).step)

    def share_state(self) -> None:
        """Let the states of the members' optimizers be parts of the joint one's: the program has updated that."""
        for whole, parts in self._steps.parts:
            joined = _tensors(self._optimizer.state[whole])
            for i, (member, part) in enumerate(zip(self._members, parts, strict=True)):
                if part in member.optimizer.state:
                    member.optimizer.state[part] |= {name: value[..., i] for name, value in joined.items()}

    def clip(self) -> None:
        """Do nothing: members that clip their gradients have steps of their own."""

    def apply(self) -> None:
        """Update each member by its own optimizer, with which the program is compared."""
        self._steps.apply()

    def trace(self) -> None:
        """Update all members, in a form that torch.compile can trace."""
        self._plain_step(self._optimizer)

    def state(self) -> list[Tensor]:
        """Return the tensors of all states."""
        optimizers = [self._optimizer, *(member.optimizer for member in self._members)]
        states = [state for optimizer in optimizers for state in optimizer.state.values()]
        return [value for state in states for value in _tensors(state).values()]

    @contextmanager
    def by_formulas(self) -> Iterator[None]:
        """Do nothing: the joint optimizer always computes by formulas."""
        yield


def are_joinable(members: Sequence[Member]) -> bool:
    """Tell whether one optimizer can update all members: theirs differ at most in a constant learning rate."""
    return (
        isinstance(members[0].optimizer, ELEMENTWISE)
        and all(member.step.is_traceable and not member.step.clips for member in members)
        and not any(member.schedule.changes_rate for member in members)
        and len({_settings(member) for member in members}) == 1
    )


def _settings(member: Member) -> Hashable:
    """Describe the settings of a member's optimizer, except for its learning rates."""
    names = {parameter: name for name, parameter in member.parameters().items()}
    groups = [
        {**group, "lr": None, "params": tuple(names[parameter] for parameter in group["params"])}
        for group in member.optimizer.param_groups
    ]
    return type(member.optimizer), tuple(tuple(group.items()) for group in groups)


def own_state(optimizer: Optimizer) -> None:
    """Let the state of a member's optimizer have memory of its own again."""
    for state in optimizer.state.values():
        state |= {name: value.clone() for name, value in _tensors(state).items()}


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
