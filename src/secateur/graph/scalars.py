"""Numbers that forward computes from a width, `1 / sqrt(d)` above all: weights take up the change.

A network that divides by the root of a width runs just as well after a cut, and computes something else. The number
cannot be put back, it is in the user's code; but what it multiplies is mostly made by weights, which can be scaled by
the inverse of the change. Which ones, and that nothing else reads them, is found by walking back through the recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from secateur.core.groups import Axis, ChannelGraph
from secateur.graph.homogeneous import scalable
from secateur.graph.labels import Drift, Rescaled
from secateur.graph.probe import Fault, Scene, calls_of, peers
from secateur.graph.record import Ref
from secateur.graph.solve import Solution
from secateur.graph.ties import Place, labels_at, places

#: Powers of a width that occur: the root in attention, its root where queries and keys are both scaled, and so on.
_POWERS = (-0.5, 0.5, -0.25, 0.25, -1.0, 1.0, -0.75, 0.75, -2.0, 2.0)

#: Operators that hand a number on as it is.
_COPIES = ("aten::_to_copy", "aten::detach", "aten::alias", "aten::clone", "aten::lift_fresh")


def absorb(scene: Scene, solution: Solution, graph: ChannelGraph, found: list[Fault]) -> bool:
    """Let weights make up for a number that follows a width, in all modules of the kind; False if none can."""
    fault = found[0]
    for place, power in _laws(scene, solution, graph, found):
        if _absorb(scene, fault.module, fault.number, place, power):
            for module, number in peers(scene, fault.module, fault.number):
                _absorb(scene, module, number, place, power)
            return True
    return False


def _laws(scene: Scene, solution: Solution, graph: ChannelGraph, found: list[Fault]) -> Iterator[tuple[Place, float]]:
    """Dims of the module and powers of their lengths that explain the number in every trial, the nearest first."""
    ratios = [_ratio(fault) for fault in found]
    if any(r is None for r in ratios):
        return
    mine = calls_of(scene, found[0].module)
    before = [n for n, number in enumerate(mine) if number <= found[0].number]
    for place, (labels, _) in places(scene, solution, found[0].module, before[::-1]).items():
        axis = solution.axis(labels, len(labels))
        if axis is not None and axis.terms:
            power = _power(axis, graph, found, [r for r in ratios if r is not None])
            if power is not None:
                yield place, power


def _ratio(fault: Fault) -> float | None:
    """New over old, if a single number has changed."""
    changed = [(a, b) for a, b in zip(*fault.scalars, strict=False) if a != b]
    if len(fault.scalars[0]) != len(fault.scalars[1]) or len(set(changed)) != 1:
        return None
    ((old, new),) = set(changed)
    return new / old if old and new / old > 0 else None


def _power(axis: Axis, graph: ChannelGraph, found: list[Fault], ratios: list[float]) -> float | None:
    for power in _POWERS:
        widths = [axis.size(fault.widths) / axis.size(graph.full) for fault in found]
        if all(w != 1 and math.isclose(w**power, r, rel_tol=1e-5) for w, r in zip(widths, ratios, strict=True)):
            return power
    return None


def _absorb(scene: Scene, module: str, number: int, place: Place, power: float) -> bool:
    """Rescale what the number of one call is multiplied with."""
    labels = labels_at(scene, module, place)
    use = _use(scene, number, power)
    if labels is None or use is None:
        return False
    ref, at, needed = use
    scaled = scalable(scene.walk.recording, ref, at)
    if scaled is None:
        return False
    scene.walk.drifts[number] = Drift(labels, power)
    scene.walk.rescaled += [Rescaled(s.tensor, s.dim, s.entries, labels, needed) for s in scaled]
    return True


def _use(scene: Scene, number: int, power: float) -> tuple[Ref, int, float] | None:
    """The tensor that meets the number, in which call, and the power of the width that makes up for it."""
    call, calls = scene.calls[number], scene.calls
    if call.name in ("aten::mul", "aten::div"):
        x = call.bound.get("self")
        sign = -1.0 if call.name == "aten::mul" else 1.0
        return (x, number, sign * power) if isinstance(x, Ref) else None
    made = next((x for x in call.outputs if isinstance(x, Ref)), None)
    if made is None or any(s != 1 for s in made.shape):
        return None
    for at in range(number + 1, len(calls)):  # a number in a tensor of its own: who reads it?
        read = [k for k, v in calls[at].bound.items() if isinstance(v, Ref) and v.key == made.key]
        if not read:
            continue
        out = next((x for x in calls[at].outputs if isinstance(x, Ref)), None)
        if calls[at].name in _COPIES:
            made = out or made
        elif calls[at].name in ("aten::mul", "aten::div") and len(calls[at].refs()) == 1 and read == ["self"]:
            made = out or made  # times a constant
        elif calls[at].name in ("aten::sqrt", "aten::rsqrt") and out is not None:
            made, power = out, power * (0.5 if calls[at].name == "aten::sqrt" else -0.5)
        elif calls[at].name in ("aten::mul", "aten::div"):
            x = calls[at].bound.get("other" if read == ["self"] else "self")
            by = read == ["other"] and calls[at].name == "aten::div"
            right = isinstance(x, Ref) and (by or calls[at].name == "aten::mul")
            return (x, at, power if by else -power) if right and isinstance(x, Ref) else None
        else:
            return None
    return None
