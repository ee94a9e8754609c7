"""What a report compares, line by line, in words: the one source of every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from secateur.core.report import CompressionReport, Latency, Measurement
from secateur.report.numbers import NOTHING, count, factor, milliseconds, percent, ratio, signed

T = TypeVar("T")

#: Well-known figures and how papers spell them.
_SPELLING = {"top1": "top-1", "top5": "top-5"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison.

    Attributes:
        label: what is compared.
        before: the dense network's figure.
        after: the shrunk network's figure.
        change: the difference, in words.
        controls: the figures of the controls, in the order of the report.
        share: after over before for costs, to be drawn; None for others.
    """

    label: str
    before: str
    after: str
    change: str
    controls: tuple[str, ...]
    share: float | None = None


def rows(report: CompressionReport) -> tuple[Row, ...]:
    """The lines of the comparison: quality first, then size, work and time."""
    every = (report.before, report.after, *report.controls.values())
    return (
        *_quality(report, every),
        _cost("parameters", [m.params for m in every], ("fewer", "more")),
        _cost("non-zero", [m.nonzeros for m in every], ("fewer", "more")),
        _compression(report),
        _cost("MACs", [m.macs for m in every], ("fewer", "more")),
        _cost("bytes on disk", [m.bytes for m in every], ("smaller", "larger")),
        *(_latency(runtime, every) for runtime in runtimes(report)),
    )


def runtimes(report: CompressionReport) -> tuple[str, ...]:
    """Every runtime in which latency was measured."""
    both = (*report.before.latency, *report.after.latency)
    return tuple(dict.fromkeys(found.runtime for found in both))


def latency_in(measurement: Measurement, runtime: str) -> Latency | None:
    """The latency in `runtime`, if it was measured."""
    return next((found for found in measurement.latency if found.runtime == runtime), None)


def spelt(figure: str) -> str:
    """The name of a quality figure as papers write it."""
    return _SPELLING.get(figure, figure)


def is_fraction(values: Iterable[float | None]) -> bool:
    """Whether a figure may be shown in per cent: wherever it is known, it lies between 0 and 1."""
    return all(0 <= value <= 1 for value in values if value is not None)


def _quality(report: CompressionReport, every: tuple[Measurement, ...]) -> list[Row]:
    names = dict.fromkeys([*report.before.quality, *report.after.quality])
    return [_figure(name, [m.quality.get(name) for m in every]) for name in names]


def _figure(name: str, values: list[float | None]) -> Row:
    """Fractions are compared in points, since a change of a percentage in per cent means two things."""
    in_percent = is_fraction(values)
    shown = _shown(values, percent if in_percent else lambda value: f"{value:.4g}")
    before, after = values[:2]
    change = NOTHING
    if before is not None and after is not None:
        change = f"{signed(100 * (after - before), '.2f')} points" if in_percent else signed(after - before, ".4g")
    return Row(spelt(name), shown[0], shown[1], change, tuple(shown[2:]))


def _cost(label: str, values: list[int], words: tuple[str, str]) -> Row:
    shown = [count(value) for value in values]
    before, after = values[:2]
    return Row(label, shown[0], shown[1], factor(after, before, words), tuple(shown[2:]), _share(after, before))


def _compression(report: CompressionReport) -> Row:
    own = report.before.params / max(report.before.nonzeros, 1)
    others = (report.before.params / max(m.nonzeros, 1) for m in report.controls.values())
    label = "compression"
    return Row(label, ratio(own), ratio(report.compression_ratio), "", tuple(ratio(x) for x in others))


def _latency(runtime: str, every: tuple[Measurement, ...]) -> Row:
    found = [latency_in(m, runtime) for m in every]
    shown = _shown(found, lambda latency: milliseconds(latency.p50, latency.p90))
    before, after = found[:2]
    change, share = NOTHING, None
    if before is not None and after is not None:
        change, share = factor(after.p50, before.p50, ("faster", "slower")), _share(after.p50, before.p50)
    return Row(f"{runtime} p50 (p90)", shown[0], shown[1], change, tuple(shown[2:]), share)


def _shown(values: Iterable[T | None], form: Callable[[T], str]) -> list[str]:
    return [NOTHING if value is None else form(value) for value in values]


def _share(after: float, before: float) -> float | None:
    return after / before if before > 0 else None
