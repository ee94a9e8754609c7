"""What a report says in words: one headline, and the notes without which its figures mean nothing."""

from __future__ import annotations

from math import isnan

from secateur.core.report import CompressionReport
from secateur.report.numbers import TIMES, count, factor
from secateur.report.rows import is_fraction, latency_in, runtimes, spelt

#: Summing in another order moves single-precision outputs by 1e-6 or so; a wrong cut moves them by far more than this.
SAME = 1e-3

_UNITS = {"macs": "MACs", "params": "parameters", "": "network"}


def headline(report: CompressionReport) -> str:
    """The result in one line: "4.1 x fewer MACs, 3.2 x faster in torch, top-1 99.08 → 99.03 %"."""
    parts = [_work(report), *_time(report), *_quality(report)[:1]]
    return ", ".join(parts)


def notes(report: CompressionReport) -> tuple[str, ...]:
    """Budget, time limit, equivalence, conditions of the timing, and what was not understood, each as a sentence."""
    found = [_budget(report), str(report.time or ""), equivalence(report), _conditions(report), _unknown(report)]
    return tuple(note for note in found if note)


def equivalence(report: CompressionReport) -> str:
    """How far the network that was trained and the one that ships were seen to differ."""
    if isnan(report.equivalence):
        return "The outputs of masked and shrunk networks were not compared."
    size = f"{report.equivalence:.1e} of the largest, at most" if report.equivalence else "nothing at all"
    seen = f"on the example inputs and on random ones their outputs differ by {size}"
    if report.equivalence <= SAME:
        return f"Masked and shrunk networks give the same answers: {seen}."
    return f"Masked and shrunk networks do not give the same answers: {seen}. Do not ship this network."


def _work(report: CompressionReport) -> str:
    if report.before.macs != report.after.macs:
        return f"{factor(report.after.macs, report.before.macs, ('fewer', 'more'))} MACs"
    if report.after.nonzeros == report.before.nonzeros:
        return "as many MACs and parameters as before"
    return f"{factor(report.after.nonzeros, report.before.nonzeros, ('fewer', 'more'))} non-zero parameters"


def _time(report: CompressionReport) -> list[str]:
    found = []
    for runtime in runtimes(report):
        before, after = latency_in(report.before, runtime), latency_in(report.after, runtime)
        if before is not None and after is not None:
            change = factor(after.p50, before.p50, ("faster", "slower")).replace("unchanged", f"1.0 {TIMES} as fast")
            found.append(f"{change} in {runtime}")
    return found


def _quality(report: CompressionReport) -> list[str]:
    before, after = report.before.quality, report.after.quality
    found = []
    for name in before:
        if name in after and is_fraction((before[name], after[name])):
            found.append(f"{spelt(name)} {100 * before[name]:.2f} → {100 * after[name]:.2f} %")
        elif name in after:
            found.append(f"{spelt(name)} {before[name]:.4g} → {after[name]:.4g}")
    return found


def _budget(report: CompressionReport) -> str:
    if not report.budget:
        return ""
    share, _, unit = report.budget.partition(" ")
    return f"Budget: asked to keep {share} of the {_UNITS.get(unit, unit)}, kept {report.reached:.4g}."


def _conditions(report: CompressionReport) -> str:
    found = (*report.before.latency, *report.after.latency)
    if not found:
        return ""
    first = found[0]
    cores = report.environment.get("processor") or "unknown processor"
    threads = f"{first.threads} thread{'s' if first.threads != 1 else ''}"
    least = count(min(x.repeats for x in found))
    return f"Latency: {first.device} ({cores}), {threads}, batch {first.batch}, {least} passes or more."


def _unknown(report: CompressionReport) -> str:
    if not report.unknown_ops:
        return ""
    names = ", ".join(f"{name} ({number})" for name, number in report.unknown_ops.items())
    return f"Operators without a rule, whose channels were left alone: {names}."
