"""Cut a copy for trial and watch every operator: does all that follows from a cut follow it?

Half of all models keep sizes as integers (`head_dim`, split sizes, …) or write them into their code, which no analysis
of operators can see. So the graph's own prediction of every shape, of every position and of every number that enters
the arithmetic is compared with what a really cut copy does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from secateur.core.copying import copied
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph, Group
from secateur.core.rng import generator
from secateur.graph.cut import cut_
from secateur.graph.propagate import Propagation
from secateur.graph.record import Call, Ref, record
from secateur.graph.solve import Solution

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
        scalars: numbers that the call was given before and after the cut, where they are what differs.
        widths: the widths of the cut.
    """

    number: int
    module: str
    what: str
    scalars: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    widths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything a trial needs: the pristine model and its inputs, and what the walk found out."""

    model: nn.Module
    example: Example
    walk: Propagation

    @property
    def calls(self) -> list[Call]:
        """What was recorded."""
        return self.walk.recording.calls


def trial_widths(graph: ChannelGraph) -> dict[str, Tensor]:
    """A random choice of 40 to 80 % of the units of every group that may be cut, different from group to group."""
    kept = {}
    for name, group in graph.cuttable.items():
        share = 0.4 + 0.4 * float(torch.rand(1, generator=generator(0, "trial", name)))
        kept[name] = _some(group, max(min(group.units - 1, round(share * group.units)), _least(group)))
    return kept


def _unequal_widths(graph: ChannelGraph) -> dict[str, Tensor]:
    """A cut that leaves groups of equal size unequally wide, so that no size can fit two of them by chance."""
    kept, met = {}, Counter[int]()
    for name, group in graph.cuttable.items():
        choices = max(group.units - _least(group), 1)
        kept[name] = _some(group, max(group.units - 1 - met[group.units] % choices, group.minimum))
        met[group.units] += 1
    return kept


def _least(group: Group) -> int:
    """Two if that leaves a choice: with dims of one entry, PyTorch may take other operators to the same end."""
    return max(2 if group.units > 3 else 1, group.minimum)


def _some(group: Group, count: int) -> Tensor:
    keep = torch.zeros(group.units, dtype=torch.bool)
    keep[torch.randperm(group.units, generator=generator(count, "trial", group.name))[:count]] = True
    return keep


def faults(scene: Scene, solution: Solution, graph: ChannelGraph) -> list[Fault]:
    """What is earliest in all of the trials, from every trial that fails there; finer trials if the first two pass."""
    found = _torn(scene, solution)
    for trials in ((trial_widths(graph), _unequal_widths(graph)), _lone_widths(scene, solution, graph)):
        found = [f for kept in trials if (f := find_fault(scene, solution, graph, kept)) is not None] + found
        if found:
            break
    first = min((f.number for f in found), default=0)
    return [f for f in found if f.number == first]


def _torn(scene: Scene, solution: Solution) -> list[Fault]:
    """The first call that takes units of one group apart, so that no number can follow the cut."""
    for number, pieces in scene.walk.pieces.items():
        if any(solution.axis(v, len(v)) is None for v in pieces):
            return [Fault(number, scene.calls[number].module, "names entries by position")]
    return []


def _lone_widths(scene: Scene, solution: Solution, graph: ChannelGraph) -> list[dict[str, Tensor]]:
    """Cuts of one group at a time at every call that takes a tensor apart at numbers.

    A number made from another width, `h[:, : h.shape[1] // 3]`, may fit by chance while both are cut.
    """
    names = list(solution.groups)
    trials: list[dict[str, Tensor]] = []
    for pieces in scene.walk.pieces.values():
        met = [names[n] for v in pieces for n in solution.group_of[v].unique().tolist() if n >= 0]
        for turn, name in enumerate(dict.fromkeys(n for n in met if n in graph.cuttable)):
            group = graph.groups[name]
            trials += [{}] * (turn + 1 - len(trials))
            trials[turn] = {**trials[turn], name: _some(group, min(group.units - 1, _least(group)))}
    return trials


def find_fault(scene: Scene, solution: Solution, graph: ChannelGraph, kept: Mapping[str, Tensor]) -> Fault | None:
    """Run a cut copy and compare operator by operator with the prediction."""
    trial = copied(scene.model)
    cut_(trial, graph, kept)
    seen, widths = record(trial, scene.example), graph.widths(kept)
    numbers, calls = _essential(scene.calls)
    _, seen_calls = _essential(seen.calls)
    for number, before, now in zip(numbers, calls, seen_calls, strict=False):
        what = _differs(scene.walk, number, before, now, solution, kept)
        if what:
            return Fault(number, before.module, what)
        if not _same_numbers(scene.walk, number, before, now, solution, kept):
            old, new = before.scalars(), now.scalars()
            return Fault(
                number,
                before.module,
                f"computes the number {old} from a width (it becomes {new})",
                (tuple(old), tuple(new)),
                widths,
            )
    if seen.failure is not None:
        number = numbers[min(len(seen_calls), len(numbers) - 1)]
        return Fault(number, seen.failure[1], f"the forward pass fails after a cut ({_first_line(seen.failure[0])})")
    if len(seen_calls) != len(calls):
        number = numbers[min(len(seen_calls), len(calls)) - 1]
        return Fault(number, scene.calls[number].module, "the forward pass takes another path after a cut")
    return None


def _essential(calls: list[Call]) -> tuple[list[int], list[Call]]:
    """The calls that compute something, with their numbers: copies come and go with the memory layout."""
    kept = [(number, call) for number, call in enumerate(calls) if call.name not in _COPIES]
    return [number for number, _ in kept], [call for _, call in kept]


def _differs(
    walk: Propagation, number: int, before: Call, now: Call, solution: Solution, kept: Mapping[str, Tensor]
) -> str:
    if _SAME.get(before.name, before.name) != _SAME.get(now.name, now.name):
        return f"calls {now.name} instead of {before.name} after a cut"
    if before.bound.get("moves") != now.bound.get("moves"):
        return "puts entries elsewhere after a cut"
    old = [x for x in before.outputs if isinstance(x, Ref)]
    new = [x for x in now.outputs if isinstance(x, Ref)]
    for a, b, by_dim in zip(old, new, walk.labels[number], strict=True):
        wanted = tuple(solution.kept(v, s, kept) for v, s in zip(by_dim, a.shape, strict=True))
        if wanted != b.shape:
            return f"gives {list(b.shape)} instead of {list(wanted)} after a cut"
    for position in walk.positions.get(number, ()):
        first = solution.kept(position.before, len(position.before), kept)
        if position.read(now) != first:
            return f"begins at entry {position.read(now)} instead of {first} after a cut"
    return ""


def _same_numbers(
    walk: Propagation, number: int, before: Call, now: Call, solution: Solution, kept: Mapping[str, Tensor]
) -> bool:
    """Whether a call computes with the numbers it did before, or with those that rescaled weights make up for."""
    old, new, drift = before.scalars(), now.scalars(), walk.drifts.get(number)
    if drift is None:
        return old == new
    size = len(drift.labels)
    factor = (solution.kept(drift.labels, size, kept) / size) ** drift.power
    return len(old) == len(new) and all(
        a == b or abs(b - a * factor) <= 1e-5 * abs(b) for a, b in zip(old, new, strict=True)
    )


def touched(scene: Scene, number: int) -> Iterator[Tensor]:
    """Labels of all outputs and inputs of a call."""
    for by_dim in (*scene.walk.labels[number], *scene.walk.read[number]):
        yield from (v for v in by_dim if v is not None)


def peers(scene: Scene, module: str, number: int) -> list[tuple[str, int]]:
    """The same call in other modules of the same class: twelve equal blocks have one fault, not twelve."""
    modules, calls = dict(scene.model.named_modules()), scene.calls
    if module not in modules or calls[number].module != module:
        return []
    mine = calls_of(scene, module)
    place, kind, found = mine.index(number), type(modules[module]), []
    for name, other in modules.items():
        theirs = calls_of(scene, name) if type(other) is kind and name != module else []
        if len(theirs) == len(mine) and calls[theirs[place]].name == calls[number].name:
            found.append((name, theirs[place]))
    return found


def calls_of(scene: Scene, module: str) -> list[int]:
    """Numbers of the calls that are made while the module's forward runs, its children's included."""
    inside = [
        n for name, n in scene.walk.by_module.items() if name == module or name.startswith(f"{module}.") or not module
    ]
    return sorted(number for numbers in inside for number in numbers)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
