"""Thresholds tried one after the other, from high to low, until the budget is full."""

from statistics import fmean, pstdev

from secateur.allocation import SigmaThreshold
from secateur.core.budget import Budget
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.planning import plan, score
from secateur.testing import case as cases


def counts(values: dict[str, list[float]], keep: float, about: str) -> dict[str, int]:
    """How many weights of each layer stay under the lowest threshold that leaves no more than `keep` of all."""
    marks = {}
    for name, scores in values.items():
        if about == "zero":
            sigma = fmean(v * v for v in scores) ** 0.5
            marks[name] = [v / sigma for v in scores]
        else:
            marks[name] = [(v - fmean(scores)) / pstdev(scores) for v in scores]
    most = int(keep * sum(len(m) for m in marks.values()) + 1e-9)
    kept = dict.fromkeys(marks, 0)
    for q in sorted((m for row in marks.values() for m in row), reverse=True):
        more = {name: sum(m >= q for m in row) for name, row in marks.items()}
        if sum(more.values()) > most:
            return kept
        kept = more
    return kept


def error() -> float:
    """Weights kept otherwise than the scan says, at most in one layer."""
    case, worst = cases.normed(), 0
    scores = score(case.graph, Magnitude(p=1), case.evidence(Magnitude.needs), granularity=Weight())
    for about in ("zero", "mean"):
        for keep in (0.1, 0.37, 0.8):
            made = plan(case.graph, scores, Budget(keep, "units"), SigmaThreshold(about=about))
            wanted = counts({n: v.tolist() for n, v in scores.values.items()}, keep, about)
            worst = max(worst, *(abs(made.width(n) - wanted[n]) for n in wanted))
    return float(worst)
