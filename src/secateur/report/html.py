"""A report as one page that opens offline: no scripts, nothing fetched, light or dark as the reader's system is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from secateur.core.report import CompressionReport, Width
from secateur.files.atomic import write_text
from secateur.report.numbers import count, share
from secateur.report.rows import rows
from secateur.report.sentences import equivalence, headline, notes


@dataclass(frozen=True, slots=True)
class Bar:
    """One group in the picture of widths.

    Attributes:
        group: its name.
        numbers: "12 / 20".
        asked: "asked 62.1 %, reached 60.0 %"; empty where nothing was asked.
        length: percent of the picture's width that the bar takes.
        kept: percent of the bar that stays.
        pinned: why nothing was to go from the group.
    """

    group: str
    numbers: str
    asked: str
    length: float
    kept: float
    pinned: str


def write_html(report: CompressionReport, path: str | os.PathLike[str]) -> Path:
    """Write a report as one self-contained page, as a whole or not at all; returns the path."""
    return write_text(path, html(report))


def html(report: CompressionReport) -> str:
    """The page as text; everything that comes from the report is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  only pages need it

    pages = Environment(
        loader=PackageLoader("secateur", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    told = equivalence(report)
    return pages.get_template("report.html.j2").render(
        report=report,
        headline=headline(report),
        rows=rows(report),
        bars=bars(report.widths),
        recipe=one_argument_a_line(report.recipe),
        equivalence=told,
        notes=[note for note in notes(report) if note != told],
    )


def bars(widths: tuple[Width, ...]) -> tuple[Bar, ...]:
    """The picture of widths. Lengths grow with the square root, so that a layer of 6 shows beside one of 2,048."""
    widest = max((w.before for w in widths), default=1)
    return tuple(
        Bar(
            group=w.group,
            numbers=f"{count(w.after)} / {count(w.before)}",
            asked="" if w.asked is None else f"asked {share(w.asked)}, reached {share(w.reached)}",
            length=round(100 * sqrt(w.before / max(widest, 1)), 2),
            kept=round(100 * w.after / max(w.before, 1), 2),
            pinned=w.whole_because,
        )
        for w in widths
    )


def one_argument_a_line(text: str) -> str:
    """A long `repr` with a new line for each argument of its outermost call."""
    depth, out = 0, []
    for i, sign in enumerate(text):
        closes = sign in ")]}"
        depth += (sign in "([{") - closes
        if sign == " " and depth == 1 and text[i - 1] == ",":
            out.append("\n    ")
        elif sign == "(" and depth == 1:
            out.append("(\n    ")
        elif closes and depth == 0:
            out.append(f"\n{sign}")
        else:
            out.append(sign)
    return "".join(out)
