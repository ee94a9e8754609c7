"""From a walk to the graph: trial cuts, and whatever is found wanting is mended, tied, rescaled, or pinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.graph.mend import Mended, mend, with_mended
from secateur.graph.probe import Fault, Scene, faults, peers, touched
from secateur.graph.propagate import Propagation
from secateur.graph.scalars import absorb
from secateur.graph.solve import Solution, build, solve
from secateur.graph.ties import tie


def settle(model: nn.Module, walk: Propagation, example: Example, inputs: Mapping[str, object]) -> ChannelGraph:
    """The graph of `model`, with integers mended and groups joined or pinned until cut copies do as predicted.

    Where a cut copy and the prediction part, an integer of the module at fault that equals the old size is made to
    follow; where a number of the arithmetic has changed, weights take up the difference; where two dims want one
    number, they are joined; if nothing explains it, the groups concerned are pinned.
    """
    scene = Scene(model, example, walk)
    mended: list[Mended] = []
    while True:
        solution = solve(walk)
        graph = with_mended(build(model, walk, solution, inputs), solution, mended)
        found = faults(scene, solution, graph)
        if not found:
            return replace(graph, inputs=inputs)
        fault = found[0]
        if fault.scalars != ((), ()):
            if not absorb(scene, solution, graph, found):
                _pin(scene, solution, fault)
            continue
        news = mend(scene, solution, graph, fault, mended)
        if news is not None:
            keys = {one.key for one in news}
            mended = [one for one in mended if one.key not in keys] + news
        elif not tie(scene, solution, fault, mended):
            _pin(scene, solution, fault)


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
