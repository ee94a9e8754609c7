"""Dims that must lose the same entries because one number describes both: found by trying.

`x.reshape(b, n, heads, c // heads)` takes `c` from the width of the embedding and means the width of the heads. Where
two dims follow different groups and one divides the other, their entries are joined position by position, and if a
trial then gets past the fault, that was it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from secateur.graph.labels import Atoms
from secateur.graph.mend import Mended, with_mended
from secateur.graph.probe import Fault, Scene, calls_of, gets_past, peers
from secateur.graph.solve import Solution, build, solve

#: Pairs tried at one fault; each costs a solution and two trials.
_MOST = 24


@dataclass(frozen=True, slots=True)
class Place:
    """A dim, by the call that reads or writes it: which of the module's calls, which of its tensors, which dim."""

    call: int
    tensor: int
    dim: int


def tie(scene: Scene, solution: Solution, fault: Fault, mended: list[Mended]) -> bool:
    """Join two dims around the fault, in all modules of the kind, if that gets past it; False if no pair does."""
    atoms, edges = scene.walk.atoms, len(scene.walk.atoms.edges)
    others = peers(scene, fault.module, fault.number)
    for tried, (a, b) in enumerate(_pairs(scene, solution, fault.module, fault.number)):
        if tried == _MOST:
            break
        for name in (fault.module, *(name for name, _ in others)):
            _join(atoms, labels_at(scene, name, a), labels_at(scene, name, b))
        again = solve(scene.walk)
        graph = with_mended(build(scene.model, scene.walk, again, {}), again, mended)
        if gets_past(scene, again, graph, fault.number):
            return True
        del atoms.edges[edges:]
    return False


def _pairs(scene: Scene, solution: Solution, module: str, number: int) -> Iterator[tuple[Place, Place]]:
    """Dims at the fault, each with dims of the same module that follow other groups, nearest first."""
    mine = calls_of(scene, module)
    if number not in mine:
        return
    at = mine.index(number)
    here = places(scene, solution, module, [at])
    # What is read at the beginning (the module's inputs) tells most; then whatever is near.
    order = sorted(range(len(mine)), key=lambda n: (n > 3, abs(n - at)))
    everywhere = places(scene, solution, module, order)
    for a, (labels, groups) in here.items():
        for b, (other, theirs) in everywhere.items():
            divides = len(labels) and len(other) and (len(labels) % len(other) == 0 or len(other) % len(labels) == 0)
            if divides and groups != theirs:
                yield a, b


def places(
    scene: Scene, solution: Solution, module: str, calls: list[int]
) -> dict[Place, tuple[Tensor, tuple[int, ...]]]:
    """Dims that may be cut, each width once, with their labels and groups; `calls` counts the module's own."""
    found, seen = {}, set()
    for call in calls:
        number = calls_of(scene, module)[call]
        for tensor, by_dim in enumerate((*scene.walk.read[number], *scene.walk.labels[number])):
            for dim, labels in enumerate(by_dim):
                groups = () if labels is None else tuple(solution.group_of[labels].unique().tolist())
                if labels is None or groups == (-1,) or (len(labels), groups) in seen or _pinned(solution, groups):
                    continue
                seen.add((len(labels), groups))
                found[Place(call, tensor, dim)] = (labels, groups)
    return found


def _pinned(solution: Solution, groups: tuple[int, ...]) -> bool:
    every = list(solution.groups.values())
    return all(every[n].pinned for n in groups if n >= 0)


def labels_at(scene: Scene, module: str, place: Place) -> Tensor | None:
    """The labels at the same place of a module that may be another one; None where it has no such place."""
    mine = calls_of(scene, module)
    if place.call >= len(mine):
        return None
    dims = (*scene.walk.read[mine[place.call]], *scene.walk.labels[mine[place.call]])
    return dims[place.tensor][place.dim] if place.tensor < len(dims) and place.dim < len(dims[place.tensor]) else None


def _join(atoms: Atoms, a: Tensor | None, b: Tensor | None) -> None:
    """Join entry by entry; the longer dim is the shorter one several times over."""
    if a is None or b is None or not len(a) or not len(b):
        return
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    if len(long) % len(short) == 0:
        both = short.repeat(len(long) // len(short))
        real = (long > 0) & (both > 0)
        if bool(real.all()):
            atoms.edges.append((long, both))
