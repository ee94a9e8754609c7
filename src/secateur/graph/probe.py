"""Cut a copy for trial and watch every operator: does all that follows from a cut follow it?

Half of all models keep sizes as integers (`head_dim`, split sizes, …) or write them into their code, which no analysis
of operators can see. So the graph's own prediction of every shape, of every position and of every number that enters
the arithmetic is compared with what a really cut copy does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn

from secateur.core.copying import copied
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph, Group
from secateur.core.rng import generator
from secateur.graph.cut import cut_
from secateur.graph.propagate import Propagation
from secateur.graph.record import Call, Recording, Ref, Stop, record
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
        borrowed: whether the call asks for a size that has changed with the cut, but not to what was predicted: then it
            is no integer that somebody keeps, it was taken from another dim.
    """

    number: int
    module: str
    what: str
    scalars: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    widths: Mapping[str, int] = field(default_factory=dict)
    borrowed: bool = False


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


def _end_widths(graph: ChannelGraph, turn: int) -> dict[str, Tensor]:
    """A cut in which some groups stay whole, and others lose all that they may from one end, so that positions shift.

    No group is as wide in one turn (0 or 1) as in the other, so every one is cut. Those that agree in one part in the
    other, but for where there are more of a size than pairs of widths (`_crowded`).
    """
    kept, met = {}, Counter[int]()
    for name, group in graph.cuttable.items():
        nth, units = met[group.units], torch.arange(group.units)
        met[group.units] += 1
        widths = _far_apart(group.units, group.multiple, group.minimum)
        shift = turn * (1 + nth // len(widths) % max(len(widths) - 1, 1))
        count = widths[(nth + shift) % len(widths)]
        kept[name] = units >= group.units - count if (nth + turn) % 2 == 0 else units < count
    return kept


def _crowded(graph: ChannelGraph) -> bool:
    """Whether there are more groups of a size than ways to be as wide in one turn and otherwise in the other."""
    ways: dict[int, int] = {}
    for group in graph.cuttable.values():
        widths = len(_far_apart(group.units, group.multiple, group.minimum))
        ways[group.units] = min(ways.get(group.units, widths**2), widths * (widths - 1))
    met = Counter(group.units for group in graph.cuttable.values())
    return any(met[units] > most for units, most in ways.items())


@cache
def _far_apart(units: int, multiple: int, minimum: int) -> tuple[int, ...]:
    """The widths that a group may have, neighbours far apart: the least, the full one, the least but one and so on."""
    group = Group("", units, (), multiple, minimum)
    least = min(2 if units == 3 else _least(group), units)
    allowed = {group.width_near(n) for n in range(least, units + 1)}
    return tuple(sorted(allowed, key=lambda n: (min(n - least, units - n), n)))


def _least(group: Group) -> int:
    """Two if that leaves a choice: with dims of one entry, PyTorch may take other operators to the same end."""
    return max(2 if group.units > 3 else 1, group.minimum)


def _some(group: Group, count: int) -> Tensor:
    keep = torch.zeros(group.units, dtype=torch.bool)
    count = group.width_near(count)
    keep[torch.randperm(group.units, generator=generator(count, "trial", group.name))[:count]] = True
    return keep


def faults(scene: Scene, solution: Solution, graph: ChannelGraph) -> list[Fault]:
    """What is earliest in the coarse trials, from every one that fails there; or in the fine ones if they pass.

    Coarse trials cut every group, and what goes wrong there tells more. The second is spared a graph that is right.
    """
    unequal, torn = [_unequal_widths(graph)], _torn(scene, solution)
    found = _earliest(scene, solution, graph, [trial_widths(graph)], torn)
    if found:
        return _earliest(scene, solution, graph, unequal, found)
    fine = _earliest(scene, solution, graph, _fine_widths(scene, solution, graph), [])
    return (fine and _earliest(scene, solution, graph, unequal, [])) or fine


def _earliest(
    scene: Scene, solution: Solution, graph: ChannelGraph, trials: Sequence[Mapping[str, Tensor]], found: list[Fault]
) -> list[Fault]:
    """The earliest of the faults that are known and of those in some trials; of equals all, the last trial's first."""
    for kept in trials:
        last = min((f.number for f in found), default=None)
        fault = find_fault(scene, solution, graph, kept, last)
        found = found if fault is None else [fault, *found]
    first = min((f.number for f in found), default=0)
    return [f for f in found if f.number == first]


def passes(scene: Scene, solution: Solution, graph: ChannelGraph) -> bool:
    """Whether no fine trial has a fault. They leave little to chance: a graph that passes at once needs no others.

    Where they do leave something to it, the answer is no, and all trials have to decide.
    """
    if _crowded(graph):
        return False
    trials = _fine_widths(scene, solution, graph)
    return not _torn(scene, solution) and all(_goes_well(scene, solution, graph, one) for one in trials)


def gets_past(scene: Scene, solution: Solution, graph: ChannelGraph, number: int, whole: str = "") -> bool:
    """Whether no trial has a fault up to the call of this number, if the group named `whole` loses nothing."""
    if any(fault.number <= number for fault in _torn(scene, solution)):
        return False
    trials = (trial_widths(graph), _unequal_widths(graph), *_fine_widths(scene, solution, graph))
    kept = [{name: keep for name, keep in trial.items() if name != whole} for trial in trials]
    return all(_goes_well(scene, solution, graph, one, number) for one in kept)


def _goes_well(
    scene: Scene, solution: Solution, graph: ChannelGraph, kept: Mapping[str, Tensor], last: int | None = None
) -> bool:
    """Whether `find_fault` would find none; half the price where there is one, for nobody asks where it is."""
    watch, seen = _tried(scene, solution, graph, kept, last, places=False)
    return watch.fault is None if watch.ended else seen.failure is None and watch.met == len(watch.numbers)


def _torn(scene: Scene, solution: Solution) -> list[Fault]:
    """The first call that takes units of one group apart, so that no number can follow the cut."""
    for number, pieces in scene.walk.pieces.items():
        if any(solution.axis(v, len(v)) is None for v in pieces):
            return [Fault(number, scene.calls[number].module, "names entries by position")]
    return []


def _fine_widths(scene: Scene, solution: Solution, graph: ChannelGraph) -> list[dict[str, Tensor]]:
    """Cuts that hardly anything passes by chance: of single groups, and from either end with widths far apart."""
    return [*_lone_widths(scene, solution, graph), *(_end_widths(graph, turn) for turn in (0, 1))]


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


def find_fault(
    scene: Scene, solution: Solution, graph: ChannelGraph, kept: Mapping[str, Tensor], last: int | None = None
) -> Fault | None:
    """Run a cut copy and compare operator by operator with the prediction; calls after number `last` do not matter."""
    watch, seen = _tried(scene, solution, graph, kept, last, places=False)
    if watch.ended:
        return watch.fault
    if seen.failure is not None:
        watch, seen = _tried(scene, solution, graph, kept, last, places=True)  # to learn where
    if seen.failure is not None:
        what = f"the forward pass fails after a cut ({_first_line(seen.failure[0])})"
        number = watch.numbers[min(watch.met, len(watch.numbers) - 1)]
        borrowed = seen.refused is not None and _borrows(scene.walk, number, seen.refused, solution, kept)
        return Fault(number, seen.failure[1], what, borrowed=borrowed)
    return watch.on_another_path() if watch.met < len(watch.numbers) else None


def _tried(
    scene: Scene, solution: Solution, graph: ChannelGraph, kept: Mapping[str, Tensor], last: int | None, *, places: bool
) -> tuple[_Comparison, Recording]:
    trial = copied(scene.model)
    cut_(trial, graph, kept)
    watch = _Comparison(scene, solution, kept, graph.widths(kept), last)
    return watch, record(trial, scene.example, watch, places=places)


class _Comparison:
    """Compares calls with the prediction as they are made, and stops the pass at the first that is otherwise.

    Attributes:
        numbers: of the calls that are expected: those that compute something, for copies come and go with the layout.
        met: how many of them were made.
        ended: whether the pass was stopped.
        fault: what was found then, if anything.
    """

    def __init__(
        self, scene: Scene, solution: Solution, kept: Mapping[str, Tensor], widths: Mapping[str, int], last: int | None
    ) -> None:
        self.scene, self.solution, self.kept, self.widths, self.last = scene, solution, kept, widths, last
        self.numbers = [number for number, call in enumerate(scene.calls) if call.name not in _COPIES]
        self.met, self.ended = 0, False
        self.fault: Fault | None = None

    def __call__(self, now: Call) -> None:
        if now.name in _COPIES:
            return
        if not self.ended:
            self.fault = self._look(now)
            self.ended = self.fault is not None or (self.last is not None and self.numbers[self.met] >= self.last)
            self.met += 1
        if self.ended:
            raise Stop

    def on_another_path(self) -> Fault:
        """The fault of a pass that makes more calls than expected, or fewer."""
        number = self.numbers[min(self.met, len(self.numbers)) - 1]
        return Fault(number, self.scene.calls[number].module, "the forward pass takes another path after a cut")

    def _look(self, now: Call) -> Fault | None:
        if self.met == len(self.numbers):
            return self.on_another_path()
        number = self.numbers[self.met]
        before = self.scene.calls[number]
        what = _differs(self.scene.walk, number, before, now, self.solution, self.kept)
        if what:
            borrowed = _borrows(self.scene.walk, number, now, self.solution, self.kept)
            return Fault(number, before.module, what, borrowed=borrowed)
        if not _same_numbers(self.scene.walk, number, before, now, self.solution, self.kept):
            old, new = before.scalars(), now.scalars()
            what = f"computes the number {old} from a width (it becomes {new})"
            return Fault(number, before.module, what, (tuple(old), tuple(new)), self.widths)
        return None


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


def _borrows(walk: Propagation, number: int, now: Call, solution: Solution, kept: Mapping[str, Tensor]) -> bool:
    """Whether a call asks for a size of its result that is neither what it was nor what was predicted."""
    before = walk.recording.calls[number]
    name = next((name for name in ("size", "shape") if name in before.bound), "")
    old, new = before.bound.get(name), now.bound.get(name)
    if before.func is not now.func or not isinstance(old, list) or not isinstance(new, list):
        return False
    result = next((x for x in before.outputs if isinstance(x, Ref)), None)
    if result is None or not len(old) == len(new) == len(result.shape):
        return False
    wanted = [solution.kept(v, s, kept) for v, s in zip(walk.labels[number][0], result.shape, strict=True)]
    return any(n not in (-1, o, w) for o, n, w in zip(old, new, wanted, strict=True))


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
