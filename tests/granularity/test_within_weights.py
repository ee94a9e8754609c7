"""Granularities within weights: masks by hand, and what does not divide."""

import pytest
import torch
from torch import nn

from secateur.allocation import Uniform
from secateur.core.budget import UNITS_OF_BUDGET, Budget
from secateur.core.errors import BudgetError, IncompatibleError, UnsupportedError
from secateur.core.plan import PruningPlan
from secateur.core.scores import Scope, Scores
from secateur.granularity import NM, Block, Channel, IntraKernel, Kernel, Shape, Vector, Weight
from secateur.graph.trace import trace
from secateur.planning import Constraints, plan

EVERY = [
    Weight(), NM(), NM(n=1, m=2), Kernel(), Shape(), Vector(along="row"), Vector(along="column"), Block(size=2),
    Block(size=2, along="inputs"), IntraKernel(stride=2), IntraKernel(stride=4),
]  # fmt: skip


def build():
    """Rows of 8, 8, 16 and 12 entries; 2 x 2 kernels, 2 x 2 kernels in two groups, and a transposed convolution."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Conv2d(4, 6, 2, groups=2), nn.ReLU(), nn.ConvTranspose2d(6, 3, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(3 * 9, 2),
    )  # fmt: skip


@pytest.fixture(scope="module")
def graph():
    return trace(build(), torch.zeros(1, 2, 4, 4))


def mask(graph, granularity, weight, kept):
    """The mask that keeps the units numbered `kept` of one weight."""
    (block,) = [b for b in granularity.blocks(graph) if b.name == weight]
    keep = torch.zeros(block.units, dtype=torch.bool)
    keep[list(kept)] = True
    return granularity.expand(graph, block, keep)[weight]


def where(mask):
    return {tuple(place) for place in mask.nonzero().tolist()}


def test_which_weights(graph):
    offered = {repr(g): {b.name: b.units for b in g.blocks(graph)} for g in EVERY}
    assert offered == {
        "Weight(biases=False)": {"0.weight": 32, "2.weight": 48, "4.weight": 72, "7.weight": 54},
        "NM(n=2, m=4)": {"0.weight": 32, "2.weight": 48},
        "NM(n=1, m=2)": {"0.weight": 32, "2.weight": 48},
        "Kernel()": {"0.weight": 8, "2.weight": 12, "4.weight": 18},
        "Shape()": {"0.weight": 8, "2.weight": 8, "7.weight": 27},
        "Vector(along='row')": {"0.weight": 16, "2.weight": 24, "4.weight": 36},
        "Vector(along='column')": {"0.weight": 16, "2.weight": 24, "4.weight": 36},
        "Block(size=2, along='outputs')": {"0.weight": 16, "2.weight": 24, "7.weight": 27},
        "Block(size=2, along='inputs')": {"0.weight": 16, "2.weight": 24},
        "IntraKernel(stride=2)": {"0.weight": 4, "2.weight": 4},
        "IntraKernel(stride=4)": {"0.weight": 8, "2.weight": 8},
    }
    assert NM().omitted(graph) == {
        "4.weight": "its inputs come before its outputs, as in a transposed convolution",
        "7.weight": "its rows are no multiple of 4 long",
    }
    assert set(IntraKernel(stride=5).omitted(graph)) == {"0.weight", "2.weight", "4.weight", "7.weight"}
    assert not Weight().omitted(graph)
    assert not Channel().omitted(graph)


def test_masks_by_hand(graph):
    """Entries (output, input, row, column) of the first convolution, 4 x 2 x 2 x 2."""
    every = {(o, i, y, x) for o in range(4) for i in range(2) for y in range(2) for x in range(2)}
    cases = [
        (Weight(), [13], {(1, 1, 0, 1)}),
        (NM(), [13], {(1, 1, 0, 1)}),
        (Kernel(), [3], {(1, 1, y, x) for y in range(2) for x in range(2)}),
        (Vector(along="row"), [7], {(1, 1, 1, 0), (1, 1, 1, 1)}),
        (Vector(along="column"), [7], {(1, 1, 0, 1), (1, 1, 1, 1)}),
        (Shape(), [6], {(o, 1, 1, 0) for o in range(4)}),
        (Block(size=2), [8 + 6], {(2, 1, 1, 0), (3, 1, 1, 0)}),
        (Block(size=4, along="inputs"), [3], {(1, 1, y, x) for y in range(2) for x in range(2)}),
        (Block(size=2, along="inputs"), [7], {(1, 1, 1, 0), (1, 1, 1, 1)}),
        (IntraKernel(stride=2), [0, 3], {e for e in every if e[3] == e[1]}),  # offset 0 of input 0, 1 of input 1
        (IntraKernel(stride=3), [0, 4], {e for e in every if 2 * e[2] + e[3] in ((0, 3) if e[1] == 0 else (1,))}),
    ]
    for granularity, kept, wanted in cases:
        assert where(mask(graph, granularity, "0.weight", kept)) == wanted, granularity


@pytest.mark.parametrize("granularity", EVERY, ids=repr)
def test_scores_are_sums_over_the_mask(graph, granularity):
    for block in granularity.blocks(graph):
        shape = [a.size(graph.full) for a in graph.tensors[block.name].axes]
        saliency = torch.randn(shape, dtype=torch.float64)
        found = granularity.reduce(block, {block.name: saliency})
        wanted = [saliency[mask(graph, granularity, block.name, [u])].sum() for u in range(block.units)]
        assert torch.allclose(found, torch.stack(wanted), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2), (3, 4), (4, 8)])
def test_exactly_n_of_every_m_of_a_row(graph, n, m):
    unit = NM(n=n, m=m)
    values = {b.name: torch.randn(b.units, dtype=torch.float64) for b in unit.blocks(graph)}
    made = plan(graph, Scores(values, unit, "noise", Scope.ROW), Budget("1 weights"))
    masks = made.masks()
    assert set(masks) == {"0.weight", "2.weight"}
    for name, found in masks.items():
        rows = found.flatten(1).unflatten(1, (-1, m))
        assert bool((rows.sum(2) == n).all())
        best = values[name].view(rows.shape).sort(2, descending=True).values[..., n - 1 :]
        assert bool((values[name].view(rows.shape)[rows] >= best[..., :1].expand(rows.shape)[rows]).all())
    assert made.provenance.reached == pytest.approx((80 * n / m + 72 + 54) / 206)


def cost_by_hand(masks):
    """Multiply-accumulates, weights and parameters that are left: places of each layer times entries that stay."""
    sizes = {"0.weight": (9, 32), "2.weight": (4, 48), "4.weight": (4, 72), "7.weight": (1, 54)}
    left = {n: int(masks[n].sum()) if n in masks else whole for n, (_, whole) in sizes.items()}
    return {
        "macs": sum(sizes[n][0] * left[n] for n in sizes),
        "weights": sum(left.values()),
        "params": sum(left.values()) + 4 + 6 + 3 + 2,
    }


@pytest.mark.parametrize("frozen", [(), ("2.weight",)], ids=["", "frozen"])
@pytest.mark.parametrize("of", UNITS_OF_BUDGET)
@pytest.mark.parametrize("granularity", EVERY, ids=repr)
def test_budgets_count_entries(graph, granularity, of, frozen):
    """The budget is met, and what is said to be reached is what the masks keep."""
    noise = torch.Generator().manual_seed(0)
    blocks = granularity.blocks(graph)
    values = {b.name: torch.rand(b.units, generator=noise, dtype=torch.float64) for b in blocks}
    scores, rules = Scores(values, granularity, "noise", Scope.GLOBAL), Constraints(frozen=frozen)
    for wanted in (0.3, 0.62, 0.9):
        keep = wanted
        try:
            made = plan(graph, scores, Budget(wanted, of), Uniform(), constraints=rules)
        except BudgetError as error:
            assert error.reachable > keep
            made = plan(graph, scores, Budget(error.reachable * (1 + 1e-9), of), Uniform(), constraints=rules)
            keep = error.reachable
        if of == "units":
            found = sum(made.width(b.name) for b in blocks) / sum(b.units for b in blocks)
        else:
            found = cost_by_hand(made.masks())[of] / cost_by_hand({})[of]
        assert found <= keep * (1 + 1e-9)
        assert made.provenance.reached == pytest.approx(found, rel=1e-12)


def test_nothing_divides(graph):
    unit = NM(n=1, m=5)
    with pytest.raises(UnsupportedError, match=r"0\.weight, 2\.weight, 7\.weight .its rows are no multiple of 5 long"):
        plan(graph, Scores({}, unit, "none", Scope.GLOBAL), Budget("0.5 weights"))


def test_out_of_reach_names_what_does_not_divide(graph):
    values = {b.name: torch.ones(b.units) for b in NM().blocks(graph)}
    with pytest.raises(BudgetError, match=r"7\.weight \(its rows are no multiple of 4 long\)"):
        plan(graph, Scores(values, NM(), "ones", Scope.GLOBAL), Budget("0.5 weights"))


def test_by_hand_must_keep_the_pattern(graph):
    whole = PruningPlan({}, NM(), graph)
    made = whole.keep("0.weight", [u for u in range(32) if u % 2])
    assert made.width("0.weight") == 16
    with pytest.raises(IncompatibleError, match="2 of every 4 neighbours, and of units 0 to 3"):
        whole.keep("0.weight", range(16))


def test_rows_are_kept_alike_where_scores_ask_for_it(graph):
    """Row-wise scores: as many kernels, runs, rows of every output; what crosses all outputs is ranked as a whole."""
    for unit, rows in [(Kernel(), 4), (Vector(), 4), (Block(size=2, along="inputs"), 4), (Block(size=2), 2)]:
        values = {b.name: torch.randn(b.units, dtype=torch.float64) for b in unit.blocks(graph)}
        made = plan(graph, Scores(values, unit, "noise", Scope.ROW), Budget("0.5 units"))
        assert len(set(made.kept["0.weight"].view(rows, -1).sum(1).tolist())) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: NM(n=4, m=4), lambda: NM(n=0), lambda: Vector(along="diagonal"), lambda: Block(size=1),
        lambda: Block(along="out"), lambda: IntraKernel(stride=1),
    ],
)  # fmt: skip
def test_unknown_choices(wrong):
    with pytest.raises(IncompatibleError, match="must be"):
        wrong()
