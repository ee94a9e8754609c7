# ruff: noqa: RUF001  the signs are those that readers of a picture see
"""The picture of a graph: nothing is missing, nothing is there twice, and bands end where the graph says they do."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from secateur.bench.zoo import ZOO
from secateur.core.errors import UnknownNameError
from secateur.core.groups import Axis, Group, Op, Role, Slot, TensorAxes
from secateur.graph.trace import trace
from secateur.testing.models import TINY

SVG = "{http://www.w3.org/2000/svg}"


def slot(tensor, dim, role, units, times=1):
    return Slot(tensor, dim, role, torch.arange(units * times).view(units, times))


def by_hand(names=("a", "b", "out"), pinned="is an output of the model"):
    """A stream of 4 units with a block of 3 beside it and a head of 2: what a tracer would say of a residual block."""
    a, b, out = names
    groups = (
        Group(
            a,
            4,
            (
                slot(f"{a}.bias", 0, Role.SHIFTS, 4),
                slot(f"{a}.weight", 0, Role.PRODUCES, 4),
                slot(f"{b}.weight", 1, Role.CONSUMES, 4),
                slot("back.weight", 0, Role.PRODUCES, 4),
                slot("norm.bias", 0, Role.SHIFTS, 4),
                slot("norm.mean", 0, Role.TRACKS, 4),
                slot("norm.weight", 0, Role.SCALES, 4),
                slot(f"{out}.weight", 1, Role.CONSUMES, 4, 6),
            ),
        ),
        Group(b, 3, (slot(f"{b}.weight", 0, Role.PRODUCES, 3), slot("back.weight", 1, Role.CONSUMES, 3))),
        Group(out, 2, (slot(f"{out}.weight", 0, Role.PRODUCES, 2),), pinned=pinned),
    )
    sizes = {
        f"{a}.weight": (4, 1), f"{a}.bias": (4,), f"{b}.weight": (3, 4), "back.weight": (4, 3), "norm.weight": (4,),
        "norm.bias": (4,), "norm.mean": (4,), f"{out}.weight": (2, 24), f"{out}.bias": (), "left": (7,),
    }  # fmt: skip
    tensors = {n: TensorAxes(tuple(Axis(x) for x in size), n == "norm.mean") for n, size in sizes.items()}
    weights = (f"{a}.weight", f"{b}.weight", "back.weight", f"{out}.weight")
    ops = tuple(Op("addmm", w.rpartition(".")[0], w, tuple(Axis(x) for x in (2, *sizes[w]))) for w in weights)
    other = trace(nn.Linear(1, 1), torch.zeros(1, 1))  # for what a picture does not look at
    return replace(other, groups={g.name: g for g in groups}, tensors=tensors, ops=ops, attributes=())


DRAWN = """\
2 groups can be cut, 1 pinned; 96 parameters, 152 multiply-accumulates
■ weight   ┃ units that are cut together   ┊ pinned   × scales   + shifts   ~ follows
16·50: each of 50 units owns 16 entries

■    a.weight     4 × 1
┃    a            4 units  a +bias
┣━■  b.weight     3 × 4
┃ ┃  b            3 units
┃ ■  back.weight  4 × 3
┣━┛  (a)                   norm ×weight +bias ~mean
■    out.weight   2 × 6·4
╹    out          2 units  pinned: is an output of the model
     … in no group: out.bias, left"""


def test_drawn_by_hand():
    assert by_hand().draw() == DRAWN


def test_lanes_that_cross_and_end():
    """A concatenation of three, one of which ends before the others; the drawing was made by hand."""
    graph = trace(TINY["dense"].build(), TINY["dense"].inputs())
    drawn = [line[:7].rstrip() for line in graph.draw().splitlines()[3:]]
    assert drawn == ["╻", "■", "┃", "┃", "┣━■", "┃ ┃", "┣━┫", "┣━╋━■", "┃ ┃ ┃", "■━┻━┛", "╹"]


def test_unknown_form():
    with pytest.raises(UnknownNameError, match=r"no drawing is called 'png'\. Write 'text' or 'svg'"):
        by_hand().draw("png")


def test_nothing_to_draw():
    graph = trace(nn.Sequential(nn.ReLU()), torch.zeros(1, 2))
    assert graph.draw().startswith("0 groups can be cut, 0 pinned")
    ET.fromstring(graph.draw("svg"))


class Page:
    """An SVG read back, by means of its markup alone."""

    def __init__(self, text):
        root = ET.fromstring(text)
        self.texts = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
        self.groups = [g for g in root.iter(f"{SVG}g") if g.get("data-group") is not None]
        self.weights = [g for g in root.iter(f"{SVG}g") if g.get("data-tensor") is not None]
        self.marks = [t for t in root.iter(f"{SVG}tspan") if t.get("data-tensor") is not None]
        self.runs = {g.get("data-group"): [line(p) for p in g.iter(f"{SVG}path")] for g in self.groups}

    def title(self, name):
        (group,) = [g for g in self.groups if g.get("data-group") == name]
        return group.find(f"{SVG}title").text

    def box(self, name):
        """Middle, upper and lower edge of the box of a weight."""
        (weight,) = [w for w in self.weights if w.get("data-tensor") == name]
        x, y, wide, high = (float(weight.find(f"{SVG}rect").get(k)) for k in ("x", "y", "width", "height"))
        return x + wide / 2, y, y + high


def line(path):
    """Start, end, and whether a path of M, V and C goes straight down."""
    text = path.get("d")
    start = tuple(map(float, re.match(r"M(\S+?) (\S+?)(?=[VC])", text).groups()))
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", text)]
    end = (numbers[-2], numbers[-1]) if "C" in text else (start[0], numbers[-1])
    return start, end, "C" not in text


def check(graph):
    page = Page(graph.draw("svg", every=True))
    assert Counter(g.get("data-group") for g in page.groups) == Counter(list(graph.groups))
    inside = {s.tensor for g in graph.groups.values() for s in g.slots}
    drawn = [x.get("data-tensor") for x in (*page.weights, *page.marks)]
    assert Counter(drawn) == Counter(list(inside))
    boxes = {w.get("data-tensor") for w in page.weights}
    takers = {s.tensor for g in graph.groups.values() for s in g.slots_with(Role.CONSUMES)}
    text = graph.draw(every=True)
    for name in boxes:
        assert len(re.findall(rf"(?m)^[^(]*  {re.escape(name)}  .*[×\d]", text)) == 1, name
    for group in graph.groups.values():
        assert group.pinned in page.title(group.name)
        for found in group.slots:
            assert f"{found.tensor}[{found.dim}]" in page.title(group.name)
            if found.tensor in boxes:
                assert touches(page, group.name, found, found.tensor in takers), (group.name, found)
    check_apart(page)


def touches(page, group, found, takes):
    """Whether a band comes into the upper edge of a box, out of the lower one, or passes right through it."""
    x, top, bottom = page.box(found.tensor)
    runs = page.runs[group]
    into = any(end == (x, top) for _, end, _ in runs)
    out = any(start == (x, bottom) for start, _, _ in runs)
    through = any(straight and start[0] == x and start[1] < top and end[1] > bottom for start, end, straight in runs)
    if not takes:  # a depthwise convolution, say, works on bands in their place
        return through or into or out
    return through or {Role.CONSUMES: into, Role.PRODUCES: out}.get(found.role, into or out)


def check_apart(page):
    """No two bands run straight in the same place."""
    spans = {}
    for name, runs in page.runs.items():
        for start, end, straight in runs:
            if straight:
                spans.setdefault(start[0], []).append((start[1], end[1], name))
    for found in spans.values():
        found.sort()
        for (_, low, one), (high, _, other) in pairwise(found):
            assert one == other or low <= high, (one, other)


@pytest.mark.parametrize("name", list(TINY))
def test_small_networks(name):
    check(trace(TINY[name].build(), TINY[name].inputs()))


@pytest.mark.parametrize("name", list(ZOO))
def test_zoo(name):
    check(trace(ZOO[name].make(), ZOO[name].example()))


def test_by_hand_too():
    check(by_hand())


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "vit_tiny"])
def test_in_order_of_execution(name):
    """Against hooks on a real run."""
    model, ran = ZOO[name].make(), []
    graph = trace(model, ZOO[name].example())
    for module, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda *_, n=f"{module}.weight": ran.append(n))
    model.eval()(ZOO[name].example())
    page = Page(graph.draw("svg", every=True))
    heights = {w: page.box(w)[1] for w in ran}
    assert sorted(heights, key=heights.get) == ran
    found = [cell for row in graph.draw(every=True).splitlines() for cell in row.split("  ") if cell in heights]
    assert found == ran


class Towers(nn.Module):
    """An embedding, which no operator multiplies with, opens the first of two branches that meet at their ends only."""

    def __init__(self):
        super().__init__()
        self.slow, self.shared, self.words = nn.Linear(3, 5), nn.Linear(5, 2), nn.Embedding(7, 4)
        self.fast = nn.Linear(4, 2)

    def forward(self, x, n):
        words = self.fast(self.words(n).relu())
        return words, self.shared(self.slow(x).relu())


def test_branches_come_in_the_order_of_their_run():
    graph = trace(Towers(), (torch.zeros(1, 3), torch.zeros(1, dtype=torch.long)))
    page = Page(graph.draw("svg"))
    assert sorted((page.box(w.get("data-tensor"))[1], w.get("data-tensor")) for w in page.weights) == [
        (page.box(name)[1], name) for name in ("words.weight", "fast.weight", "slow.weight", "shared.weight")
    ]


def test_names_and_reasons_are_escaped():
    odd = ("<a>&\"'", "b]]>\n\x00\ud800[red]", "<!--")
    graph = by_hand(odd, pinned='is <b>bold</b> & "quoted"\x07')
    page = Page(graph.draw("svg"))
    assert page.title(odd[2]).splitlines()[-1] == 'pinned: is <b>bold</b> & "quoted"\ufffd'
    assert {g.get("data-group") for g in page.groups} == {odd[0], "b]]>\ufffd\ufffd\ufffd[red]", odd[2]}
    assert 'pinned: is <b>bold</b> & "quoted"\ufffd' in page.texts
    assert graph.draw("svg").isascii()  # so that it may be saved without a word about encodings
    assert len(graph.draw().splitlines()) == len(DRAWN.splitlines())


def test_a_long_reason_is_shortened_on_the_page_only():
    graph = by_hand(pinned="is long " * 40)
    page = Page(graph.draw("svg"))
    assert "is long " * 40 in page.title("out")
    assert max(map(len, page.texts)) < 130
    assert "is long " * 39 in graph.draw()


def test_page_is_self_contained_in_light_and_dark():
    text = by_hand().draw("svg")
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|\bhref\b|url\(|@import", text)
    named, used = re.findall(r"(--[\w-]+):", text), set(re.findall(r"var\((--[\w-]+)\)", text))
    assert used == set(named)
    assert all(n == 2 for n in Counter(named).values())  # once for light, once for dark


@pytest.mark.parametrize("name", ["resnet20", "vit_tiny", "mobilenet_v2"])
def test_groups_that_share_a_tensor_differ_in_colour(name):
    graph = trace(ZOO[name].make(), ZOO[name].example())
    colour = {g.get("data-group"): g.get("class") for g in Page(graph.draw("svg", every=True)).groups}
    assert len(set(colour.values())) == 9  # eight colours, and that of pinned groups
    for tensor in graph.tensors:
        groups = [g for g, found in graph.cuttable.items() if tensor in {s.tensor for s in found.slots}]
        assert len({colour[g] for g in groups}) == len(groups)


def deep(blocks):
    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.up, self.down = nn.Linear(6, width), nn.Linear(width, 6)

        def forward(self, x):
            return x + self.down(self.up(x).relu())

    return nn.Sequential(nn.Linear(3, 6), *(Block(width) for width in blocks), nn.Linear(6, 2))


FOLD = re.compile(r"… ([\d,]+) more like the (\d*) ?rows? above: (.*) \(every=True draws all\)")


def test_equal_neighbours_are_drawn_once():
    graph = trace(deep([8] * 20 + [9] * 3), torch.zeros(1, 3))
    short, whole = graph.draw().splitlines(), graph.draw(every=True).splitlines()
    notes = [found for found in map(FOLD.search, short) if found]
    hidden = sum(int(n[1]) * int(n[2] or 1) for n in notes)
    assert len(short) - len(notes) + hidden == len(whole)
    assert [(n[1], n[2], n[3]) for n in notes] == [("19", "4", "2, 3 … 20"), ("2", "4", "22, 23")]
    assert set(short) - {n.string for n in notes} <= set(whole)
    page = Page(graph.draw("svg"))
    assert len([t for t in page.texts if FOLD.search(t)]) == 2
    assert len(page.weights) == 2 + 2 * 2


def test_neighbours_that_differ_are_not_folded():
    """In width, and in a reason."""
    graph = trace(deep([8, 9] * 12), torch.zeros(1, 3))
    assert [n[2] for n in map(FOLD.search, graph.draw().splitlines()) if n] == ["8"]
    graph = trace(deep([8] * 24), torch.zeros(1, 3))
    pinned = replace(graph.groups["12.up"], pinned="is special")
    drawn = replace(graph, groups={**graph.groups, "12.up": pinned}).draw()
    assert "pinned: is special" in drawn
    assert [n[1] for n in map(FOLD.search, drawn.splitlines()) if n] == ["10", "11"]


def test_short_pictures_are_drawn_whole():
    graph = trace(deep([8] * 6), torch.zeros(1, 3))
    assert graph.draw() == graph.draw(every=True)


def test_very_long_pictures_count_the_rest():
    graph = trace(deep(range(5, 85)), torch.zeros(1, 3))
    short, whole = graph.draw().splitlines(), graph.draw(every=True).splitlines()
    assert short[:-1] == whole[: len(short) - 1]
    weights = [row for row in whole[len(short) - 1 :] if "■" in row]
    assert short[-1].endswith(f"… and {len(weights)} more weights (every=True draws all)")
    assert len(short) < 210


def test_contradicting_orders_are_still_drawn():
    """A tracer never says so, but a graph may be made by hand."""
    graph = by_hand()
    turned = replace(graph.groups["b"], slots=graph.groups["b"].slots[::-1])
    check(replace(graph, groups={**graph.groups, "b": turned}))
