"""Look-up tables: rows are named by number, columns are units."""

from __future__ import annotations

from secateur.core.groups import Role
from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule


@rule("aten::embedding")
def embedding(site: Site) -> State:
    """Weight `(rows, units)`, indices of any shape; output `(*indices, units)`."""
    w = site.state("weight")
    assert w is not None
    site.pin(w.labels[0], "looks rows up by number")
    site.play(w, 1, Role.PRODUCES)
    rows = site.state("indices")
    assert rows is not None
    site.pin_all(rows, "holds row numbers")
    free = len(site.shape("indices"))
    return State((*[None] * free, w.labels[1]), (*[False] * free, w.silent[1]))


@rule("aten::_embedding_bag", "aten::_embedding_bag_forward_only")
def embedding_bag(site: Site) -> list[State]:
    """Weight `(rows, units)`, output `(bags, units)`: a bag's rows are summed, averaged, or the largest entries taken."""
    rows, w = embedding(site), site.state("weight")
    assert w is not None
    site.pin_all(site.state_of(site.call.bound["offsets"]), "holds positions")
    shapes, units = site.output_shapes, rows.labels[-1]
    wide = State((None, units), (False, w.silent[1]))
    # For the largest entries the last result says where they were found, for each unit.
    return [wide if n in (0, 3) and len(shape) == 2 else State.free(len(shape)) for n, shape in enumerate(shapes)]
