"""The picture as SVG: bands that run down the page, weights as boxes on them, words beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from secateur.core.groups import ChannelGraph
from secateur.core.picture.bands import bands
from secateur.core.picture.lanes import Line
from secateur.core.picture.rows import Band, Weight
from secateur.core.picture.sheet import BOX, EDGE, Sheet
from secateur.core.picture.style import HUES, STYLE
from secateur.core.picture.words import cells, clean, dim, headline, marks, short, units, whole, why

#: How wide a sign of the monospaced words is, between columns, and how much of a reason is written out.
_SIGN, _GAP, _LONG = 7.3, 22, 90
#: No page is narrower: title and legend need as much.
_LEAST = 860


@dataclass(frozen=True, slots=True)
class _Page:
    """A sheet with its words.

    Attributes:
        sheet: where the lines lie.
        columns: left edges of the words: names, sizes, the rest.
        width: of the whole page.
        colour: the class of every group that is drawn: `c0` to `c7`, or `pinned`.
    """

    sheet: Sheet
    columns: tuple[int, int, int]
    width: int
    colour: Mapping[str, str]


def svg(graph: ChannelGraph, lines: Sequence[Line]) -> str:
    """A picture that needs nothing else: no scripts, nothing fetched, light or dark as the reader's system is."""
    sheet = Sheet.of(graph, lines)
    page = _page(sheet)
    pieces = bands(sheet)
    for i, line in enumerate(lines):
        if isinstance(line.row, Band):
            pieces[line.row.groups[0]].append(_band(page, i, line.row))
    height = sheet.tops[-1] + EDGE
    title = escape(f"What moves together: {headline(graph)}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{page.width}" height="{height}" '
        f'viewBox="0 0 {page.width} {height}" role="img" aria-labelledby="title"><title id="title">{title}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{page.width}" height="{height}" rx="10"/>',
        *_legend(graph),
        *(_guide(page, i, line) for i, line in enumerate(lines) if line.row is not None),
        *(_group(page, name, found) for name, found in pieces.items()),
        *(_weight(page, i, line, line.row) for i, line in enumerate(lines) if isinstance(line.row, Weight)),
        *(_note(page, i, line.note) for i, line in enumerate(lines) if line.note),
        "</svg>\n",
    ]
    # All in ASCII, so that a file is right whatever encoding it is written in.
    return "\n".join(parts).encode("ascii", "xmlcharrefreplace").decode()


def _page(sheet: Sheet) -> _Page:
    told = [cells(sheet.graph, line, _LONG) for line in sheet.lines]
    widths = [_SIGN * max((len(cell[n]) for cell in told if n or cell[1] or cell[2]), default=0) for n in range(3)]
    names = sheet.right + 18
    sizes = names + widths[0] + _GAP
    rest = sizes + widths[1] + _GAP
    notes = names + _SIGN * max((len(line.note) for line in sheet.lines), default=0)
    width = round(max(rest + widths[2], notes, _LEAST - EDGE)) + EDGE
    return _Page(sheet, (round(names), round(sizes), round(rest)), width, _colours(sheet))


def _colours(sheet: Sheet) -> dict[str, str]:
    """Colours in turn, never that of a group beside it."""
    beside: dict[str, set[str]] = {}
    for line in sheet.lines:
        near = {*line.above.values(), *line.below.values(), *(line.row.groups if line.row else ())}
        for group in near:
            beside.setdefault(group, set()).update(near)
    found: dict[str, str] = {}
    for number, group in enumerate(g for g in beside if not sheet.graph.groups[g].pinned):
        taken = {found.get(other) for other in beside[group]}
        turn = [f"c{(number + n) % HUES}" for n in range(HUES)]
        found[group] = next((hue for hue in turn if hue not in taken), turn[0])
    return {group: found.get(group, "pinned") for group in beside}


def _legend(graph: ChannelGraph) -> list[str]:
    """Title, and how to read the picture."""
    x, y = EDGE, EDGE + 10
    signs = "× scales   + shifts   ~ follows   16·50: each of 50 units owns 16 entries"  # noqa: RUF001
    swatch = (
        f'<path class="run" d="M{{}} {y + 37}v20" stroke-width="14"/></g><text class="words" x="{{}}" y="{y + 52}">'
    )
    return [
        f'<text class="head" x="{x}" y="{y}">What moves together</text>',
        f'<text class="words soft" x="{x}" y="{y + 21}">{escape(headline(graph))}</text>',
        f'<g class="c0">{swatch.format(x + 20, x + 42)}units that are cut together</text>',
        f'<g class="pinned">{swatch.format(x + 268, x + 286)}pinned</text>',
        f'<rect class="box" x="{x + 368}" y="{y + 40}" width="26" height="{2 * BOX}" rx="4"/>'
        f'<text class="words" x="{x + 402}" y="{y + 52}">weight: takes what is above, gives what is below</text>',
        f'<text class="soft" x="{x + 42}" y="{y + 77}">{escape(signs)}</text>',
    ]


def _guide(page: _Page, i: int, line: Line) -> str:
    """The line that leads from a place to its words."""
    y = page.sheet.middle(i)
    return f'<path class="guide" d="M{page.sheet.x(line.lane)} {y}H{page.columns[0] - 6}"/>'


def _group(page: _Page, name: str, pieces: Sequence[str]) -> str:
    """A group with all that shows it, so that pointing at any of it brings out the whole."""
    group = page.sheet.graph.groups[name]
    return (
        f'<g class="group {page.colour[name]}" data-group={quoteattr(clean(name))} data-units="{group.units}">'
        f"<title>{escape(whole(group))}</title>{''.join(pieces)}</g>"
    )


def _band(page: _Page, i: int, row: Band) -> str:
    """The words of a line that tells of units."""
    name, _, _ = cells(page.sheet.graph, page.sheet.lines[i], _LONG)
    found = [_text(page, i, 0, escape(name), "name" if row.first else "again")]
    group = page.sheet.graph.groups[row.groups[0]]
    module, signs = marks(row)
    does = escape(module) + " " * bool(module)
    does += " ".join(f"<tspan data-tensor={quoteattr(clean(t))}>{escape(f'{s}{n}')}</tspan>" for t, s, n in signs)
    if row.first:
        found.append(_text(page, i, 1, units(group), ""))
        does += escape("  " * bool(does and group.pinned) + short(why(group), _LONG))
    return "".join([*found, _text(page, i, 2, does, "soft")] if does else found)


def _weight(page: _Page, i: int, line: Line, row: Weight) -> str:
    """The box of a weight and its words; every piece of a dim in the colour of its group."""
    y, tensor = page.sheet.middle(i), clean(row.tensor)
    told = [
        tensor,
        *_told("takes", row.takes),
        *_told("gives", row.gives),
        *_told("scales, shifts or follows", row.bends),
    ]
    dims = " × ".join("".join(_coloured(page, *found) for found in dim(pieces)) for pieces in row.dims)  # noqa: RUF001
    return (
        f'<g class="weight" data-tensor={quoteattr(tensor)}><title>{escape(chr(10).join(told))}</title>'
        f'<rect class="box" x="{page.sheet.x(line.lane) - page.sheet.box:g}" y="{y - BOX}" '
        f'width="{2 * page.sheet.box:g}" height="{2 * BOX}" rx="4"/>'
        f"{_text(page, i, 0, escape(tensor), '')}{_text(page, i, 1, dims, 'soft')}</g>"
    )


def _note(page: _Page, i: int, note: str) -> str:
    return _text(page, i, 0, escape(note), "soft")


def _text(page: _Page, i: int, column: int, inside: str, kind: str) -> str:
    """A cell; `inside` is escaped already."""
    look = f'class="{kind}" ' if kind else ""
    return f'<text {look}x="{page.columns[column]}" y="{page.sheet.middle(i) + 4}">{inside}</text>'


def _coloured(page: _Page, text: str, group: str) -> str:
    """A piece of a dim in the colour of its group."""
    return f'<tspan class="part {page.colour[group]}">{text}</tspan>' if group else text


def _told(verb: str, groups: Sequence[str]) -> list[str]:
    return [f"{verb} {', '.join(map(clean, groups))}"] if groups else []
