"""A report as Markdown, for a pull request or a model card."""

from __future__ import annotations

from collections.abc import Iterable

from secateur.core.report import CompressionReport
from secateur.report.numbers import count, share
from secateur.report.rows import rows
from secateur.report.sentences import headline, notes


def markdown(report: CompressionReport) -> str:
    """Headline, comparison, notes, widths, papers and environment as Markdown text."""
    head = ("", "before", "after", "change", *report.controls)
    body = [(row.label, row.before, f"**{row.after}**", row.change, *row.controls) for row in rows(report)]
    widths = [
        (f"`{w.group}`", count(w.before), count(w.after), share(w.asked), share(w.reached), w.whole_because)
        for w in report.widths
    ]
    parts = [f"## {_escaped(headline(report))}", _grid(head, body), _bullets(notes(report))]
    if widths:
        parts += ["### Widths", _grid(("group", "before", "after", "asked", "reached", "why it is not cut"), widths)]
    if report.recipe:
        parts += ["### Recipe", f"```python\n{report.recipe}\n```"]
    if report.papers:
        parts += ["### Papers", _bullets(report.papers)]
    if report.environment:
        parts += ["### Environment", _bullets(f"{name}: {value}" for name, value in report.environment.items())]
    if report.plan_digest:
        parts.append(f"Plan `{report.plan_digest}`.")
    return "\n\n".join(parts) + "\n"


def _grid(head: tuple[str, ...], body: Iterable[tuple[str, ...]]) -> str:
    numbers = "---|" + "---:|" * (len(head) - 1)
    lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (head, *body)]
    return "\n".join([lines[0], f"|{numbers}", *lines[1:]])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    """A bar would begin a new column, and an angle bracket HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
