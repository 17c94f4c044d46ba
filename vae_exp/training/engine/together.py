"""What runs ask each other for when they take turns: to form ensembles, and to update together."""

import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vae_exp.training.engine.ensemble import Ensemble
from vae_exp.training.engine.member import Member
from vae_exp.training.turns import Place

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Join:
    """The request of a run to train together with others. The answer is the number of runs in its ensemble."""

    member: Member


@dataclass(frozen=True)
class Block:
    """The request of a member for updates on K batches. The answer is `Updated`, or the reason to train alone.

    Args:
        member: The member.
        index: The positions of the images in the training set, (K, B) int64.
        seen: The samples that it has seen before.
    """

    member: Member
    index: Tensor
    seen: int


@dataclass(frozen=True)
class Updated:
    """The answer to a `Block`.

    Args:
        losses: The losses of each batch, (K, 1 + terms), nats per image.
        names: The names of the losses.
        computation: How they were computed.
    """

    losses: Tensor
    names: list[str]
    computation: dict[str, Any]


class Together:
    """Answers the requests of runs that take turns: forms ensembles, and lets them update."""

    def __init__(self) -> None:
        self._ensembles: list[Ensemble] = []

    def __call__(self, requests: Mapping[Place[Any], Join | Block]) -> dict[Place[Any], Any]:
        """Answer the requests of all runs that have not ended."""
        members = {request.member: place for place, request in requests.items()}
        waiting = {request.member: request for request in requests.values() if isinstance(request, Block)}
        answers: dict[Member, Any] = {}
        for ensemble in list(self._ensembles):
            ensemble.keep([member for member in ensemble.members if member in waiting])
            blocks = [waiting[member] for member in ensemble.members]
            if len(blocks) < 2:
                answers |= dict.fromkeys(ensemble.members, "the other runs have ended")
                self._ensembles.remove(ensemble)
            else:
                answers |= self._updated(ensemble, blocks)
        joining = [request.member for request in requests.values() if isinstance(request, Join)]
        for group in _groups(joining):
            answers |= dict.fromkeys(group, len(group))
            if len(group) > 1:
                self._ensembles.append(Ensemble(group))
        return {members[member]: answer for member, answer in answers.items()}

    def _updated(self, ensemble: Ensemble, blocks: list[Block]) -> dict[Member, Any]:
        """Let an ensemble update. If it cannot, its members train alone."""
        index, seen = [block.index for block in blocks], blocks[0].seen
        try:
            if not ensemble.names:
                ensemble.check(index, seen)
        except Exception as error:  # each model works alone, so any error comes from torch.vmap
            reason = _reason(error)
            log.warning("%d runs train alone, not as an ensemble: %s", len(blocks), reason)
            self._ensembles.remove(ensemble)
            ensemble.keep([])
            return dict.fromkeys((block.member for block in blocks), reason)
        try:
            losses = ensemble(index, seen)
        except Exception as error:
            return dict.fromkeys(ensemble.members, error)
        told = ensemble.names, ensemble.computation()
        return {block.member: Updated(part, *told) for block, part in zip(blocks, losses, strict=True)}


def _reason(error: Exception) -> str:
    if ".item()" in str(error):  # torch.vmap explains it in ten lines
        return "the computation of the model depends on the values of its tensors"
    return " ".join(str(error).split())[:300] or type(error).__name__


def _groups(members: list[Member]) -> list[list[Member]]:
    """Return groups of members that can be trained together."""
    groups: dict[Hashable, list[list[Member]]] = {}
    for member in members:
        alike = groups.setdefault(_key(member), [])
        group = next((group for group in alike if member.has_images_of(group[0])), None)
        if group is None:
            alike.append([member])
        else:
            group.append(member)
    return [group for alike in groups.values() for group in alike]


def _key(member: Member) -> Hashable:
    """Return the key of a member; one that equals no other key if its model cannot be described."""
    try:
        key = member.key()
        hash(key)
    except Exception as error:  # a part from outside this package may hold anything
        log.debug("A model cannot be described: %s", error)
        return object()
    return key
