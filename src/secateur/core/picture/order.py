"""In which order the tensors of a graph come to work."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import inf

from secateur.core.groups import ChannelGraph, Group, Role

#: When a tensor comes: the number of an operator, marks before weights, and its place in the graph.
Turn = tuple[float, bool, int]


def in_order(graph: ChannelGraph) -> list[str]:
    """Every tensor that some group lives in, by name, in order of execution.

    The slots of a group are in that order. Merging the groups leaves it open how parallel branches mix; they go by
    their operators, which are in order too, and what no operator multiplies with follows what is before it.
    """
    chains = [_chain(group) for group in graph.groups.values()]
    names = dict.fromkeys(name for chain in chains for name in chain)
    operator = {op.weight: float(turn) for turn, op in reversed(list(enumerate(graph.ops)))}
    soonest = _soonest(chains, operator)
    ties = {s.tensor for g in graph.groups.values() for s in g.slots_with(Role.PRODUCES, Role.CONSUMES)}
    turns = {name: (soonest[name], name in ties, n) for n, name in enumerate(names)}
    return _merged(chains, turns, set(operator))


def _chain(group: Group) -> list[str]:
    """The tensors of a group in order; a bias, which is listed before the weight that it is used with, after it."""
    chain = list(dict.fromkeys(slot.tensor for slot in group.slots))
    makers = {slot.tensor for slot in group.slots_with(Role.PRODUCES)}
    for n, (name, follower) in enumerate(pairwise(list(chain))):
        if name not in makers and follower in makers and name.rpartition(".")[0] == follower.rpartition(".")[0]:
            chain[n], chain[n + 1] = follower, name
    return chain


def _soonest(chains: Sequence[Sequence[str]], operator: dict[str, float]) -> dict[str, float]:
    """The number of a tensor's operator, or of the first one after it in a chain: it comes no later than that."""
    soonest: dict[str, float] = {}
    for chain in chains:
        first = inf
        for name in reversed(chain):
            first = min(operator.get(name, inf), first)
            soonest[name] = min(soonest.get(name, inf), first)
    return soonest


def _merged(chains: Sequence[Sequence[str]], turns: dict[str, Turn], operated: set[str]) -> list[str]:
    """All names, each once, such that every chain keeps its order; where that leaves a choice, by turn."""
    after: dict[str, set[str]] = {name: set() for name in turns}
    for chain in chains:
        for name, follower in pairwise(chain):
            after[name].add(follower)
    waits = dict.fromkeys(turns, 0)
    for followers in after.values():
        for follower in followers:
            waits[follower] += 1
    ready = [(turn, name) for name, turn in turns.items() if not waits[name]]
    heapify(ready)
    merged: dict[str, None] = {}
    while len(merged) < len(turns):
        # Chains of a traced graph never contradict each other; those of a graph made by hand may.
        turn, name = heappop(ready) if ready else next((t, n) for n, t in turns.items() if n not in merged)
        if name in merged:
            continue
        merged[name] = None
        for follower in after[name]:
            waits[follower] -= 1
            if waits[follower] == 0:
                own = turns[follower]
                heappush(ready, (own if follower in operated else (turn[0], *own[1:]), follower))
    return list(merged)
