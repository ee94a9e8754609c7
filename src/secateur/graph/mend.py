"""Integers of the user's modules that must follow a cut, found by trying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, islice

from torch import Tensor

from secateur.core.groups import Attribute, ChannelGraph
from secateur.graph.probe import Fault, Scene, calls_of, gets_past, peers
from secateur.graph.record import Ref
from secateur.graph.solve import Solution

#: How many calls after a fault are looked at for sizes.
_AHEAD = 40
#: Pairs of integers tried at one fault; each costs two trials.
_MOST = 12


@dataclass(frozen=True, slots=True, eq=False)
class Mended:
    """An integer that follows the length of a dim.

    Attributes:
        module: who keeps it.
        name: the attribute.
        item: the place in a list or tuple; None for a plain integer.
        labels: along the dim; empty for one that was thought to follow and does not.
    """

    module: str
    name: str
    item: int | None
    labels: Tensor

    @property
    def key(self) -> tuple[str, str, int | None]:
        """Which integer it is."""
        return self.module, self.name, self.item


def with_mended(graph: ChannelGraph, solution: Solution, mended: list[Mended]) -> ChannelGraph:
    """The graph with mended integers beside those of standard modules; the last word on each integer counts."""
    attributes = {(a.module, a.name, a.item): a for a in graph.attributes}
    for one in mended:
        axis = solution.axis(one.labels, len(one.labels))
        if axis is not None and axis.terms:
            attributes[one.key] = Attribute(one.module, one.name, axis, one.item)
        elif not len(one.labels):
            attributes.pop(one.key, None)
    return replace(graph, attributes=tuple(attributes.values()))


def mend(
    scene: Scene, solution: Solution, graph: ChannelGraph, fault: Fault, mended: list[Mended]
) -> list[Mended] | None:
    """Integers which, made to follow a width, let the trials get past the fault; None where there are none."""
    proven = {one.name for one in mended}
    candidates = sorted(_candidates(scene, solution, fault.module, fault.number), key=lambda a: a.name not in proven)
    around = (fault.module, fault.module.rpartition(".")[0])
    dropped = [replace(one, labels=one.labels[:0]) for one in mended if one.module in around and len(one.labels)]
    for found in (*_listed(scene, solution, fault), *((one,) for one in dropped), *_choices(candidates)):
        if gets_past(scene, solution, with_mended(graph, solution, [*mended, *found]), fault.number):
            known = {one.key for one in mended}
            return [*found, *(one for one in _echoes(scene, solution, fault, found) if one.key not in known)]
    return None


def _listed(scene: Scene, solution: Solution, fault: Fault) -> Iterator[tuple[Mended, ...]]:
    """Lists that hold the sizes of all pieces, in order, into which the call at fault takes a tensor apart."""
    pieces = scene.walk.pieces.get(fault.number, [])
    axes = [solution.axis(v, len(v)) for v in pieces]
    for name in dict.fromkeys((fault.module, fault.module.rpartition(".")[0])) if pieces else ():
        for attribute, value in vars(scene.model.get_submodule(name)).items():
            if isinstance(value, tuple | list) and list(value) == [len(v) for v in pieces]:
                pairs = zip(pieces, axes, strict=True)
                yield tuple(Mended(name, attribute, n, v) for n, (v, axis) in enumerate(pairs) if axis and axis.terms)


def _choices(candidates: list[Mended]) -> Iterator[tuple[Mended, ...]]:
    """One integer alone; one for every attribute at once, as a split by several sizes needs; any two of them."""
    yield from ((one,) for one in candidates)
    first = {one.key: one for one in reversed(candidates)}
    if len(first) > 2:
        yield tuple(first.values())
    pairs = (pair for pair in combinations(candidates, 2) if pair[0].key != pair[1].key)
    yield from islice(pairs, _MOST)


def _echoes(scene: Scene, solution: Solution, fault: Fault, found: Iterable[Mended]) -> Iterator[Mended]:
    """What mended one module, for its peers: the same attributes, following their own widths."""
    wanted = [(one.name, one.item) for one in found if one.module == fault.module and len(one.labels)]
    for module, number in peers(scene, fault.module, fault.number) if wanted else ():
        candidates = list(_candidates(scene, solution, module, number))
        for name, item in wanted:
            yield from [a for a in candidates if a.key == (module, name, item)][:1]


def _candidates(scene: Scene, solution: Solution, module: str, number: int) -> Iterator[Mended]:
    """Integers of the module at fault (or a module around it) that equal a size which ought to have changed."""
    sizes = _changing(scene, solution, module, number)
    for name in dict.fromkeys((module, module.rpartition(".")[0])):
        for attribute, value in vars(scene.model.get_submodule(name)).items():
            if isinstance(value, int) and not isinstance(value, bool):
                yield from (Mended(name, attribute, None, v) for v in sizes.get(value, ()))
            elif isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
                for item, size in enumerate(value):
                    yield from (Mended(name, attribute, item, v) for v in sizes.get(size, ()))


def _changing(scene: Scene, solution: Solution, module: str, number: int) -> dict[int, list[Tensor]]:
    """Sizes that depend on widths, with the labels of the dims that say how, each width once, the nearest first.

    At the fault, and in what the module does then: a slice at `heads * head_dim` comes before the view that shows both.
    """
    sizes: dict[int, list[Tensor]] = {}
    seen = set()
    after = [n for n in calls_of(scene, module) if number < n < number + _AHEAD]
    for at in (number, number - 1, *after):
        outputs = [x for x in scene.calls[at].outputs if isinstance(x, Ref)]
        dims = [
            (s, v)
            for ref, by in zip(outputs, scene.walk.labels[at], strict=True)
            for s, v in zip(ref.shape, by, strict=True)
        ]
        dims += [(len(p.before), p.before) for p in scene.walk.positions.get(at, ())]
        dims += [(len(v), v) for v in scene.walk.pieces.get(at, ())]
        for size, labels in dims:
            axis = None if labels is None else solution.axis(labels, size)
            if labels is not None and axis is not None and axis.terms and (size, axis) not in seen:
                seen.add((size, axis))
                sizes.setdefault(size, []).append(labels)
    return sizes
