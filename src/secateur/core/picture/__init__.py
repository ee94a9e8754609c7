"""A channel graph as a picture: rows in order of execution, bands of units that run down through them."""

from __future__ import annotations

from secateur.core.errors import UnknownNameError
from secateur.core.groups import ChannelGraph
from secateur.core.picture.lanes import Line, lay_out
from secateur.core.picture.repeats import shorten
from secateur.core.picture.rows import rows_of
from secateur.core.picture.svg import svg
from secateur.core.picture.text import text
from secateur.core.picture.words import outside

_FORMS = {"text": text, "svg": svg}


def draw(graph: ChannelGraph, form: str, *, every: bool) -> str:
    """The picture of `graph` as "text" or "svg"; see `ChannelGraph.draw`."""
    if form not in _FORMS:
        raise UnknownNameError(f"no drawing is called {form!r}. Write {' or '.join(map(repr, _FORMS))}.")
    lines = lay_out(rows_of(graph))
    rest = outside(graph)
    shown = lines if every else shorten(lines, graph)
    return _FORMS[form](graph, [*shown, Line(None, 0, {}, {}, note=rest)] if rest else shown)


__all__ = ["draw"]
