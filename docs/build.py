"""Writes docs/reference.md (every plug-in, from its own docstring), the pictures, and the table and drawing in README.

The figures are those of docs/demo-report.json, which is the report.json that `make demo` wrote.

Nothing here is typed twice: the classes are the source. A test makes sure that the files are up to date.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

from secateur.bench.zoo import ZOO
from secateur.cli.list_ import KINDS
from secateur.core.groups import ChannelGraph
from secateur.core.report import CompressionReport
from secateur.core.scores import Scope
from secateur.criteria import CRITERIA
from secateur.granularity import GRANULARITIES
from secateur.graph.rules import RULES
from secateur.graph.trace import trace
from secateur.planning.check import meets
from secateur.report import read_json
from secateur.report.rows import rows
from secateur.report.sentences import notes

HERE = Path(__file__).parent
#: In words, across what scores may be ranked without a normaliser.
_OVER = {Scope.ROW: "rows", Scope.GROUP: "blocks", Scope.GLOBAL: "network"}
START, END = "<!-- demo: written by `make docs` -->", "<!-- end of demo -->"
DRAWING = "<!-- drawing: written by `make docs` -->", "<!-- end of drawing -->"


def reference() -> str:
    """The reference page."""
    parts = [
        "# Reference\n\nMade by `make docs` from the docstrings of the classes themselves.",
        "## Which criterion meets which granularity\n\n" + compatibility(),
        *(section(name, items) for name, items in KINDS.items()),
        "## Operators with a rule of their own\n\nEvery operator that PyTorch tags as pointwise has one too; any other "
        "pins what it touches.\n\n" + ", ".join(f"`{name}`" for name in sorted(RULES)),
    ]
    return "\n\n".join(parts) + "\n"


def section(name: str, items: Mapping[str, Any]) -> str:
    """All entries of one kind, each with its whole card."""
    cards = [f"### `{key}`\n\n```text\n{inspect.getdoc(items[key])}\n```" for key in items]
    return f"## {name.capitalize()}\n\n" + "\n\n".join(cards)


def compatibility() -> str:
    """Criteria against granularities, asked of the classes."""
    rows = [f"| criterion | data | ranks over | {' | '.join(GRANULARITIES)} |", "|" + "---|" * (3 + len(GRANULARITIES))]
    for name, kind in CRITERIA.items():
        one = kind.examples()[0]
        data, over = "no" if one.traits.data_free else "yes", _OVER[one.traits.comparable]
        cells = ["yes" if meets(one, g.examples()[0]) else "no" for g in GRANULARITIES.values()]
        rows.append(f"| {name} | {data} | {over} | {' | '.join(cells)} |")
    return "\n".join(rows)


def widths_svg(report: Mapping[str, Any]) -> str:
    """Every group of units as a bar: what stays in green, what went in pale."""
    rows, height = [], 34
    widths = report["widths"]
    scale = 420 / max(sqrt(w["before"]) for w in widths)
    for number, width in enumerate(widths):
        y = 76 + number * height
        whole = scale * sqrt(width["before"])
        kept = whole * width["after"] / width["before"]
        colour = "#9aa39c" if width["pinned"] else "#2d7a4f"
        rows.append(
            f'<text x="20" y="{y + 15}">{width["group"]}</text>'
            f'<rect x="110" y="{y}" width="{whole:.1f}" height="20" rx="3" fill="#cfe3d6"/>'
            f'<rect x="110" y="{y}" width="{kept:.1f}" height="20" rx="3" fill="{colour}"/>'
            f'<text x="{120 + whole:.1f}" y="{y + 15}">{width["after"]} of {width["before"]}</text>'
        )
    before, after = report["before"], report["after"]
    title = "LeNet-5 on MNIST, units before and after"
    subtitle = (
        f"{before['params']:,} → {after['params']:,} parameters, "
        f"{before['macs'] / after['macs']:.1f} times fewer MACs, "
        f"top-1 {100 * before['quality']['top1']:.2f} → {100 * after['quality']['top1']:.2f} %"
    )
    bottom = 76 + len(widths) * height + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{bottom}" viewBox="0 0 680 {bottom}" '
        'font-family="system-ui, sans-serif" font-size="14" fill="#24302a">'
        f'<rect width="680" height="{bottom}" rx="8" fill="#fbfaf6"/>'
        f'<text x="20" y="34" font-weight="600">{title}</text><text x="20" y="56">{subtitle}</text>'
        f"{''.join(rows)}</svg>\n"
    )


def groups(name: str) -> ChannelGraph:
    """What moves together in a network of the zoo."""
    return trace(ZOO[name].make(), ZOO[name].example())


def with_drawing(page: str) -> str:
    """A page with the drawing of LeNet-5 between its two markers."""
    return between(page, *DRAWING, f"```text\n{groups('lenet5').draw()}\n```")


def between(page: str, start: str, end: str, body: str) -> str:
    """A page with other text between two markers."""
    head, _, rest = page.partition(start)
    _, _, tail = rest.partition(end)
    return f"{head}{start}\n{body}\n{end}{tail}"


def with_table(readme: str, report: CompressionReport) -> str:
    """The README with the demo's table between its two markers."""
    columns = ("", "dense", "Secateur", "change", *(f"control: {name}" for name in report.controls))
    lines = [columns, ("---", *["---:"] * (len(columns) - 1))]
    lines += [(r.label, r.before, f"**{r.after}**", r.change, *r.controls) for r in rows(report)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes_ = " ".join(notes(report))
    return between(readme, START, END, f"{table}\n\n{notes_}")


def main() -> None:
    """Write them all."""
    (HERE / "reference.md").write_text(reference())
    demo = json.loads((HERE / "demo-report.json").read_text())
    (HERE / "lenet5.svg").write_text(widths_svg(demo))
    (HERE / "resnet20.svg").write_text(groups("resnet20").draw("svg"))
    readme = HERE.parent / "README.md"
    readme.write_text(with_drawing(with_table(readme.read_text(), read_json(HERE / "demo-report.json"))))


if __name__ == "__main__":
    main()
