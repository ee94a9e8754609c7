"""From a walk to the graph: trial cuts, and whatever is found wanting is mended, tied, rescaled, or pinned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from secateur.core.copying import copied
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.graph.apart import keep_apart
from secateur.graph.mend import Mended, mend, with_mended
from secateur.graph.probe import Fault, Scene, faults, find_fault, gets_past, passes, peers, touched
from secateur.graph.propagate import Propagation
from secateur.graph.scalars import absorb
from secateur.graph.solve import Solution, build, solve
from secateur.graph.ties import tie

#: How many groups around a fault are tried for being its cause; each costs two trials.
_NEAR = 12


def settle(
    model: nn.Module, walk: Propagation, example: Example, in_training: Example, inputs: Mapping[str, object]
) -> ChannelGraph:
    """The graph of `model`, with integers mended and groups joined or pinned until cut copies do as predicted.

    Where a cut copy and the prediction part, an integer of the module at fault that equals the old size is made to
    follow; where a number of the arithmetic has changed, weights take up the difference; where two dims want one
    number, they are joined (and first of all where the number is not the old one, for then nobody keeps it); if nothing
    explains it, the groups concerned are pinned.

    Args:
        model: in eval mode.
        walk: what is known of its forward pass; joins and pins are added.
        example: inputs of the pass in eval mode.
        in_training: inputs of the pass in training mode, if the walk has one.
        inputs: what the graph says of the inputs.
    """
    scene = Scene(model, example, walk)
    training = None if walk.training is None else Scene(copied(model).train(), in_training, walk.training)
    mended, tried, fresh = list[Mended](), set[int](), True
    while True:
        solution = solve(walk)
        plain = build(model, walk, solution, inputs)
        found, mended = _mend_all(scene, solution, plain, mended, fresh=fresh)
        fresh = False
        graph = with_mended(plain, solution, mended)
        if not graph.cuttable:  # where nothing is cut, nothing can be wrong
            return graph
        if not found and keep_apart(scene, solution, graph, mended):
            continue
        if not found:
            fault = None if training is None else _fault_in_training(walk, training, solution, graph)
            if training is None or fault is None:
                return graph
            if not _pin_culprit(training, solution, graph, fault):
                _pin(training, solution, fault)
            continue
        fault = found[0]
        done = absorb(scene, solution, graph, found) if _is_numeric(fault) else tie(scene, solution, fault, mended)
        if not done and fault.borrowed and fault.number not in tried:
            tried.add(fault.number)
            news = mend(scene, solution, graph, fault, mended)
            mended, done = _joined(mended, news or []), news is not None
        if not done and not _pin_culprit(scene, solution, graph, fault):
            _pin(scene, solution, fault)


def _fault_in_training(walk: Propagation, scene: Scene, solution: Solution, graph: ChannelGraph) -> Fault | None:
    """The first fault of cut copies in training mode; None where a copy that is not cut does not repeat itself.

    Numbers that weights make up for in eval mode are made up for in the same calls of training mode.
    """
    there = {place: number for number, place in enumerate(_places(scene.walk))}
    drifts = [(there.get(place), walk.drifts.get(number)) for number, place in enumerate(_places(walk))]
    scene.walk.drifts = {n: drift for n, drift in drifts if n is not None and drift is not None}
    if passes(scene, solution, graph) or find_fault(scene, solution, graph, {}) is not None:
        return None
    return next(iter(faults(scene, solution, graph)), None)


def _places(walk: Propagation) -> list[tuple[str, str, int]]:
    """For every call its module, its operator, and how many of that operator came before in the module."""
    before, places = Counter[tuple[str, str]](), []
    for call in walk.recording.calls:
        places.append((call.module, call.name, before[call.module, call.name]))
        before[call.module, call.name] += 1
    return places


def _mend_all(
    scene: Scene, solution: Solution, plain: ChannelGraph, mended: list[Mended], *, fresh: bool
) -> tuple[list[Fault], list[Mended]]:
    """Mend integers for as long as that helps; returns the faults that are left, if any, and all that is mended.

    A `fresh` graph, of which nothing is known, gets the fine trials first; most models need no more.
    """
    last = -1
    while True:
        graph = with_mended(plain, solution, mended)
        found = [] if fresh and passes(scene, solution, graph) else faults(scene, solution, graph)
        fresh = False
        keeps = bool(found) and not found[0].borrowed and not _is_numeric(found[0])  # some module keeps the size
        news = mend(scene, solution, graph, found[0], mended) if keeps else None
        if news is None or found[0].number <= last:  # a finer trial found what the mending had not seen: go on without
            return found, mended
        last = found[0].number
        mended = _joined(mended, news)


def _joined(mended: list[Mended], news: list[Mended]) -> list[Mended]:
    keys = {one.key for one in news}
    return [one for one in mended if one.key not in keys] + news


def _is_numeric(fault: Fault) -> bool:
    """Whether the arithmetic got another number: no integer is to be mended then, but weights may take it up."""
    return fault.scalars != ((), ())


def _pin_culprit(scene: Scene, solution: Solution, graph: ChannelGraph, fault: Fault) -> bool:
    """Pin the one group near the fault without whose cut it would not be there; False if there is no such group."""
    names = list(solution.groups)
    near: dict[str, int] = {}
    for number in range(fault.number, -1, -1):
        for labels in touched(scene, number):
            for n in solution.group_of[labels].unique().tolist():
                if n >= 0 and names[n] in graph.cuttable:
                    near.setdefault(names[n], number)
        if len(near) > _NEAR:
            break
    for name, number in near.items():
        if gets_past(scene, solution, graph, fault.number, whole=name):
            where = scene.calls[number].module or "the top module"
            why = f"{fault.what}: operator {scene.calls[number].name.replace('::', '.')} at {where}"
            slot = solution.groups[name].slots[0]
            own = scene.walk.owned[slot.tensor][slot.dim]
            assert own is not None
            scene.walk.atoms.pin(own[slot.index.flatten()], why)
            return True
    return False


def _pin(scene: Scene, solution: Solution, fault: Fault) -> None:
    """Pin every group that the operator at fault touches; if it touches none, those of the nearest call before."""
    others = peers(scene, fault.module, fault.number)
    for number in range(fault.number, -1, -1):
        if _pin_at(scene, solution, fault, fault.module, number):
            break
    else:
        for own in scene.walk.owned.values():
            for v in own:
                scene.walk.atoms.pin(v, fault.what)
    for module, number in others:
        _pin_at(scene, solution, fault, module, number)


def _pin_at(scene: Scene, solution: Solution, fault: Fault, module: str, number: int) -> bool:
    """Pin what call `number` touches and could be cut so far; False if there is nothing."""
    free = torch.tensor([not group.pinned for group in solution.groups.values()])
    name = scene.calls[number].name.replace("::", ".")
    why = f"{fault.what}: operator {name} at {module or 'the top module'}"
    found = [v for v in touched(scene, number) if any(free[n] for n in solution.group_of[v].tolist() if n >= 0)]
    for labels in found:
        scene.walk.atoms.pin(labels, why)
    return bool(found)
