"""Cut a copy for trial and watch every operator: sizes that do not follow a cut are mended or their groups pinned.

Half of all models keep sizes as integers (`head_dim`, split sizes, …), which no analysis of operators can see. So the
graph's own prediction of every shape is compared with what a really cut copy does. Where they part, an integer of the
module at fault that equals the old size is made to follow; where one integer
would have to follow two groups, they are joined; if nothing explains it, the groups concerned are pinned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product

import torch
from torch import Tensor, nn

from secateur.core.copying import copied
from secateur.core.example import Example
from secateur.core.groups import Attribute, Axis, ChannelGraph, Group
from secateur.core.rng import generator
from secateur.graph.cut import cut_
from secateur.graph.propagate import Propagation
from secateur.graph.record import Call, Ref, record
from secateur.graph.rules.movement import slice_start
from secateur.graph.solve import Solution, build, solve

#: Operators that only change how a tensor lies in memory.
_COPIES = frozenset({"aten::clone", "aten::alias", "aten::detach"})
#: Different names for one operator, chosen by memory layout.
_SAME = {"aten::_unsafe_view": "aten::view", "aten::reshape": "aten::view"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a cut copy first did something else than predicted.

    Attributes:
        number: index of the operator call in the recording.
        module: the module whose forward was running.
        what: the finding, in words.
    """

    number: int
    module: str
    what: str


def settle(model: nn.Module, walk: Propagation, example: Example, inputs: Mapping[str, object]) -> ChannelGraph:
    """The graph of `model`, with integers mended and groups joined or pinned until cut copies do as predicted."""
    mended: list[Attribute] = []
    while True:
        solution = solve(walk)
        graph = build(model, walk, solution, inputs)
        known = {(a.module, a.name, a.item) for a in graph.attributes}
        graph = replace(
            graph, attributes=graph.attributes + tuple(a for a in mended if (a.module, a.name, a.item) not in known)
        )
        fault = _first_fault(model, walk, solution, graph, example)
        if fault is None:
            return graph
        peers = _peers(model, walk, fault)
        repaired = _mend(model, walk, solution, graph, example, fault, [a.name for a in mended])
        if repaired:
            echoes = [e for one in repaired for e in _echoes(model, walk, solution, fault, peers, one)]
            mended = _updated(mended, [*repaired, *echoes])
            continue
        if _join(walk, solution, fault, [a for a in mended if a.module == fault.module]):
            for peer in peers:
                _join(walk, solution, peer, [a for a in mended if a.module == peer.module])
        else:
            _pin_nearest(walk, solution, fault)
            for peer in peers:
                _pin_at(walk, solution, peer, peer.number)
        modules = {one.module for one in (fault, *peers)}
        mended = [a for a in mended if a.module not in modules]


def _updated(mended: list[Attribute], news: list[Attribute]) -> list[Attribute]:
    """The attributes with `news` in place of older ones of the same name."""
    keys = {(a.module, a.name, a.item) for a in news}
    return [a for a in mended if (a.module, a.name, a.item) not in keys] + news


def _peers(model: nn.Module, walk: Propagation, fault: Fault) -> list[Fault]:
    """The same call in other modules of the same class: twelve equal blocks have one fault, not twelve."""
    modules, calls = dict(model.named_modules()), walk.recording.calls
    if fault.module not in modules or calls[fault.number].module != fault.module:
        return []
    mine = [n for n, call in enumerate(calls) if call.module == fault.module]
    place, kind, found = mine.index(fault.number), type(modules[fault.module]), []
    for name, module in modules.items():
        theirs = [n for n, call in enumerate(calls) if call.module == name] if type(module) is kind else []
        alike = name != fault.module and len(theirs) == len(mine)
        if alike and calls[theirs[place]].name == calls[fault.number].name:
            found.append(Fault(theirs[place], name, fault.what))
    return found


def _echoes(
    model: nn.Module, walk: Propagation, solution: Solution, fault: Fault, peers: list[Fault], repaired: Attribute
) -> list[Attribute]:
    """What mended one module, for its peers: the same attribute, following their own widths."""
    if repaired.module != fault.module:
        return []
    echoes = []
    for peer in peers:
        candidates = _candidates(model, walk, solution, peer)
        wanted = (peer.module, repaired.name, repaired.item)
        echoes += [a for a in candidates if (a.module, a.name, a.item) == wanted][:1]
    return echoes


def trial_widths(graph: ChannelGraph) -> dict[str, Tensor]:
    """A random choice of 40 to 80 % of the units of every group that may be cut, different from group to group."""
    kept = {}
    for name, group in graph.cuttable.items():
        share = 0.4 + 0.4 * float(torch.rand(1, generator=generator(0, "trial", name)))
        kept[name] = _some(group, max(min(group.units - 1, round(share * group.units)), 1))
    return kept


def _unequal_widths(graph: ChannelGraph) -> dict[str, Tensor]:
    """A cut that leaves groups of equal size unequally wide, so that no size can fit two of them by chance."""
    kept, met = {}, Counter[int]()
    for name, group in graph.cuttable.items():
        kept[name] = _some(group, max(group.units - 1 - met[group.units] % max(group.units - 1, 1), 1))
        met[group.units] += 1
    return kept


def _some(group: Group, count: int) -> Tensor:
    count = max(count, group.minimum)
    keep = torch.zeros(group.units, dtype=torch.bool)
    keep[torch.randperm(group.units, generator=generator(count, "trial", group.name))[:count]] = True
    return keep


def _first_fault(
    model: nn.Module, walk: Propagation, solution: Solution, graph: ChannelGraph, example: Example
) -> Fault | None:
    """The earliest fault in any of the trials."""
    trials = [trial_widths(graph), _unequal_widths(graph), *_lone_widths(graph, walk, solution)]
    found = [_torn(walk, solution), *(find_fault(model, solution, graph, kept, example, walk) for kept in trials)]
    return min((f for f in found if f is not None), key=lambda f: f.number, default=None)


def _torn(walk: Propagation, solution: Solution) -> Fault | None:
    """The first call that takes units of one group apart, so that no number can follow the cut."""
    for number, pieces in (walk.pieces or {}).items():
        if any(solution.axis(v, len(v)) is None for v in pieces):
            return Fault(number, walk.recording.calls[number].module, "names entries by position")
    return None


def _lone_widths(graph: ChannelGraph, walk: Propagation, solution: Solution) -> list[dict[str, Tensor]]:
    """Cuts of one group at a time at every call that takes a tensor apart at numbers.

    A number made from another width, `h[:, : h.shape[1] // 3]`, may fit by chance while both are cut.
    """
    names = list(solution.groups)
    trials: list[dict[str, Tensor]] = []
    for pieces in (walk.pieces or {}).values():
        met = [names[n] for v in pieces for n in solution.group_of[v].unique().tolist() if n >= 0]
        for turn, name in enumerate(dict.fromkeys(n for n in met if n in graph.cuttable)):
            trials += [{}] * (turn + 1 - len(trials))
            trials[turn] = {**trials[turn], name: _some(graph.groups[name], min(graph.groups[name].units - 1, 2))}
    return trials


def find_fault(
    model: nn.Module,
    solution: Solution,
    graph: ChannelGraph,
    kept: Mapping[str, Tensor],
    example: Example,
    walk: Propagation,
) -> Fault | None:
    """Run a cut copy and compare operator by operator with the prediction."""
    recording = walk.recording
    trial = copied(model)
    cut_(trial, graph, kept)
    seen = record(trial, example)
    numbers, calls = _essential(recording.calls)
    _, seen_calls = _essential(seen.calls)
    for number, before, now in zip(numbers, calls, seen_calls, strict=False):
        what = _differs(before, now, walk.labels[number], solution, kept)
        what = what or _starts_elsewhere(now, (walk.pieces or {}).get(number, []), solution, kept)
        if what:
            return Fault(number, before.module, what)
    if seen.failure is not None:
        number = numbers[min(len(seen_calls), len(numbers) - 1)]
        return Fault(number, seen.failure[1], f"the forward pass fails after a cut ({_first_line(seen.failure[0])})")
    if len(seen_calls) != len(calls):
        number = numbers[min(len(seen_calls), len(calls)) - 1]
        return Fault(number, recording.calls[number].module, "the forward pass takes another path after a cut")
    return None


def _essential(calls: list[Call]) -> tuple[list[int], list[Call]]:
    """The calls that compute something, with their numbers: copies come and go with the memory layout."""
    kept = [(number, call) for number, call in enumerate(calls) if call.name not in _COPIES]
    return [number for number, _ in kept], [call for _, call in kept]


def _differs(
    before: Call, now: Call, labels: list[tuple[Tensor | None, ...]], solution: Solution, kept: Mapping[str, Tensor]
) -> str:
    if _SAME.get(before.name, before.name) != _SAME.get(now.name, now.name):
        return f"calls {now.name} instead of {before.name} after a cut"
    if before.scalars() != now.scalars():
        return f"computes the number {before.scalars()} from a width (it becomes {now.scalars()})"
    old = [x for x in before.outputs if isinstance(x, Ref)]
    new = [x for x in now.outputs if isinstance(x, Ref)]
    for a, b, by_dim in zip(old, new, labels, strict=True):
        wanted = tuple(solution.kept(v, s, kept) for v, s in zip(by_dim, a.shape, strict=True))
        if wanted != b.shape:
            return f"gives {list(b.shape)} instead of {list(wanted)} after a cut"
    return ""


def _starts_elsewhere(now: Call, pieces: list[Tensor], solution: Solution, kept: Mapping[str, Tensor]) -> str:
    """Of a slice the shape of the output says how long it is, not where it begins."""
    if now.name != "aten::slice" or not pieces:
        return ""
    source = now.bound["self"]
    begin = slice_start(now.bound.get("start") or 0, source.shape[now.bound.get("dim", 0)])
    wanted = solution.kept(pieces[0], len(pieces[0]), kept)
    return "" if begin == wanted else f"begins at {begin} instead of {wanted} after a cut"


def _mend(
    model: nn.Module,
    walk: Propagation,
    solution: Solution,
    graph: ChannelGraph,
    example: Example,
    fault: Fault,
    proven: list[str],
) -> list[Attribute]:
    """Integer attributes which, made to follow widths, let the trials get past the fault: one, or all at once."""
    candidates = sorted(_candidates(model, walk, solution, fault), key=lambda a: a.name not in proven)
    tries: list[tuple[Attribute, ...]] = [(a,) for a in candidates]
    if fault.number in (walk.pieces or {}):  # sizes of pieces are right together or not at all
        rivals = [[a for a in candidates if a.axis == axis] for axis in dict.fromkeys(a.axis for a in candidates)]
        tries += [*_listed(model, walk, solution, fault), *islice(product(*rivals), 16)]
    for attributes in tries:
        tried = replace(graph, attributes=tuple(_updated(list(graph.attributes), list(attributes))))
        next_fault = _first_fault(model, walk, solution, tried, example)
        if next_fault is None or next_fault.number > fault.number:
            return list(attributes)
    return []


def _candidates(model: nn.Module, walk: Propagation, solution: Solution, fault: Fault) -> Iterator[Attribute]:
    """Integers of the module at fault (or a module around it) that equal a size which ought to have changed."""
    axes = _changing(walk, solution, fault)
    for name in (fault.module, fault.module.rpartition(".")[0]):
        for attribute, value in vars(model.get_submodule(name)).items():
            if isinstance(value, int) and not isinstance(value, bool) and value in axes:
                yield Attribute(name, attribute, axes[value])
            elif isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
                yield from (Attribute(name, attribute, axes[v], item) for item, v in enumerate(value) if v in axes)


def _listed(model: nn.Module, walk: Propagation, solution: Solution, fault: Fault) -> Iterator[tuple[Attribute, ...]]:
    """Lists of the module at fault (or a module around it) that hold the sizes of all pieces in order."""
    axes = [solution.axis(v, len(v)) for v in (walk.pieces or {})[fault.number]]
    sizes = [len(v) for v in (walk.pieces or {})[fault.number]]
    for name in (fault.module, fault.module.rpartition(".")[0]):
        for attribute, value in vars(model.get_submodule(name)).items():
            if isinstance(value, tuple | list) and list(value) == sizes:
                yield tuple(
                    Attribute(name, attribute, axis, item) for item, axis in enumerate(axes) if axis and axis.terms
                )


def _changing(walk: Propagation, solution: Solution, fault: Fault) -> dict[int, Axis]:
    """Sizes at the fault that depend on widths, with the axis that says how."""
    axes: dict[int, Axis] = {}
    for number in (fault.number, fault.number - 1):
        outputs = [x for x in walk.recording.calls[number].outputs if isinstance(x, Ref)]
        for ref, by_dim in zip(outputs, walk.labels[number], strict=True):
            for size, labels in zip(ref.shape, by_dim, strict=True):
                axis = solution.axis(labels, size)
                if axis is not None and axis.terms:
                    axes.setdefault(size, axis)
    for piece in (walk.pieces or {}).get(fault.number, []):
        axis = solution.axis(piece, len(piece))
        if axis is not None and axis.terms:
            axes.setdefault(len(piece), axis)
    return axes


def _join(walk: Propagation, solution: Solution, fault: Fault, mended: list[Attribute]) -> bool:
    """Where one integer would have to follow two groups of equal size, join their units; False if none does."""
    following = {name for a in mended for name, _ in a.axis.terms}
    touched = [
        v for labels in _touched(walk, fault.number) for v in solution.group_of[labels].unique().tolist() if v >= 0
    ]
    groups = list(solution.groups.values())
    for one in (solution.groups[name] for name in following):
        for other in (groups[number] for number in touched):
            if other.name not in following and not other.pinned and other.units == one.units:
                first, second = (walk.owned[g.slots[0].tensor][g.slots[0].dim] for g in (one, other))
                assert first is not None and second is not None
                walk.atoms.edges.append((first[one.slots[0].index[:, 0]], second[other.slots[0].index[:, 0]]))
                return True
    return False


def _touched(walk: Propagation, number: int) -> list[Tensor]:
    """Labels of all outputs and inputs of a call."""
    found = [v for by_dim in walk.labels[number] for v in by_dim]
    for ref in walk.recording.calls[number].refs():
        found += _labels_before(walk, ref, number)
    return [v for v in found if v is not None]


def _pin_nearest(walk: Propagation, solution: Solution, fault: Fault) -> None:
    """Pin every group that the operator at fault touches; if it touches none, those of the nearest call before."""
    for number in range(fault.number, -1, -1):
        if _pin_at(walk, solution, fault, number):
            return
    for own in walk.owned.values():
        for v in own:
            walk.atoms.pin(v, fault.what)


def _pin_at(walk: Propagation, solution: Solution, fault: Fault, number: int) -> bool:
    """Pin what call `number` touches and could be cut so far; False if there is nothing."""
    free = torch.tensor([not group.pinned for group in solution.groups.values()])
    name = walk.recording.calls[number].name.replace("::", ".")
    why = f"{fault.what}: operator {name} at {fault.module or 'the top module'}"
    found = [v for v in _touched(walk, number) if any(free[n] for n in solution.group_of[v].tolist() if n >= 0)]
    for labels in found:
        walk.atoms.pin(labels, why)
    return bool(found)


def _labels_before(walk: Propagation, ref: Ref, number: int) -> tuple[Tensor | None, ...]:
    """Labels of a tensor as it stood when call `number` read it."""
    for earlier in range(number - 1, -1, -1):
        outputs = [x for x in walk.recording.calls[earlier].outputs if isinstance(x, Ref)]
        for out, labels in zip(outputs, walk.labels[earlier], strict=True):
            if out.key == ref.key:
                return labels
    name = walk.recording.names.get(ref.key)
    return walk.owned[name] if name else ()


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
