"""Every weight against every other of its tensor."""

from benchmarks.criteria.oracles._gap import gap
from secateur.criteria import LAMP
from secateur.granularity import Weight
from secateur.planning import score
from secateur.testing import case as cases


def shares(weights: list[float]) -> list[float]:
    return [w * w / sum(v * v for v in weights if abs(v) >= abs(w)) for w in weights]


def error() -> float:
    case = cases.normed()
    found = score(case.graph, LAMP(), case.evidence(LAMP.needs), granularity=Weight()).values
    named = dict(case.model.named_parameters())
    return max(gap(v.tolist(), shares(named[n].flatten().tolist())) for n, v in found.items())
