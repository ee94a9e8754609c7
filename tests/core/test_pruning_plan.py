from dataclasses import replace

import numpy as np
import pytest
import torch

from secateur.apply.shrinking import shrink
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.plan import Provenance, PruningPlan
from secateur.granularity import Channel, Layer
from secateur.graph.cost import cost
from secateur.graph.trace import trace
from secateur.testing import case as cases


@pytest.fixture
def whole():
    return PruningPlan({}, Channel(), cases.normed().graph)


def test_by_hand(whole):
    made = whole.keep("0", [4, 1, 1])
    assert made.kept["0"].tolist() == [False, True, False, False, True, False]
    assert (made.width("0"), made.width("3")) == (2, 4)
    assert whole.width("0") == 6
    assert made.is_structured


@pytest.mark.parametrize(
    "units",
    [[], [-1], [6], [0, 9], [0.0], ["1"], [True] * 5, [True, 0, 1, 0, 1, 0], [False] * 6, torch.zeros(6).bool()],
)
def test_units_that_do_not_exist(whole, units):
    with pytest.raises(IncompatibleError, match="units 0 to 5"):
        whole.keep("0", units)


@pytest.mark.parametrize(
    "units",
    [(4, 1), range(1, 5, 3), torch.tensor([1, 4]), np.array([4, 1]), [False, True, False, False, True, False],
     torch.tensor([0, 1, 0, 0, 1, 0]).bool(), np.array([0, 1, 0, 0, 1, 0], dtype=bool)],
    ids=["tuple", "range", "tensor", "array", "booleans", "tensor of booleans", "array of booleans"],
)  # fmt: skip
def test_ways_to_name_units(whole, units):
    assert whole.keep("0", units).kept["0"].nonzero().flatten().tolist() == [1, 4]


def test_widths_that_are_not_allowed(whole):
    group = replace(whole.graph.groups["0"], multiple=2, minimum=3)
    strict = replace(whole, graph=replace(whole.graph, groups={**whole.graph.groups, "0": group}))
    for units in ([0, 1], [0, 1, 2]):
        with pytest.raises(IncompatibleError, match="must keep 3 or more, in multiples of 2"):
            strict.keep("0", units)
    assert strict.keep("0", [0, 1, 2, 3]).width("0") == 4


def test_a_plan_changed_by_hand_claims_no_budget(whole):
    asked = {"0": 0.5, "3": 0.6}
    made = replace(whole, provenance=Provenance("noise", "Uniform()", "0.5 macs", 0.4, asked=asked)).keep("0", [1])
    told = made.keep("3", [1]).provenance
    assert (told.budget, told.reached, told.asked) == ("", 1.0, {})
    assert made.keep("0", [3]).provenance == made.provenance  # as wide as before, so it costs the same
    assert (made.provenance.asked, told.criterion, told.allocation) == ({"3": 0.6}, "noise", "Uniform(), then by hand")


def test_blocks_that_do_not_exist(whole):
    with pytest.raises(UnknownNameError, match="Known: 0, 3"):
        whole.keep("1", [0])
    with pytest.raises(IncompatibleError, match="is an output of the model"):
        whole.keep("7", [0])
    with pytest.raises(UnknownNameError, match=r"'4'\. Its units move together with '3': name that instead"):
        whole.keep("4", [0])


def test_modules_by_hand():
    whole = PruningPlan({}, Layer(), cases.residual().graph)
    assert whole.removed == () and whole.left is whole.graph
    made = whole.keep("layers", [2, 0])
    assert (made.removed, made.channels, made.width("layers")) == (("3",), {}, 2)
    assert made.left.blocks == ("2", "5") and not any(n.startswith("3.") for n in made.left.tensors)
    assert made.is_structured and whole.keep("layers", []).removed == ("2", "3", "5")
    with pytest.raises(IncompatibleError, match="must keep 2 or more"):
        PruningPlan({}, Layer(minimum=2), whole.graph).keep("layers", [1])


def test_the_graph_that_is_left_is_that_of_the_shrunk_network():
    subject = cases.residual()
    made = PruningPlan({}, Layer(), subject.graph).keep("layers", [0])
    small = trace(shrink(subject.model, made), subject.batches[0][0][:2])
    left = made.left
    assert (left.tensors.keys(), left.fingerprint, left.blocks) == (
        small.tensors.keys(), small.fingerprint, small.blocks
    )  # fmt: skip
    assert cost(left) == cost(small)
    assert {n: g.units for n, g in left.cuttable.items()} == {n: g.units for n, g in small.cuttable.items()}
    assert [(op.module, op.macs(left.full)) for op in left.ops] == [
        (op.module, op.macs(small.full)) for op in small.ops
    ]


def test_a_later_plan_of_other_modules_is_refused():
    subject = cases.residual()
    first = PruningPlan({}, Layer(), subject.graph).keep("layers", [0, 2])
    small = trace(shrink(subject.model, first), subject.batches[0][0][:2])
    second = PruningPlan({}, Layer(), small).keep("layers", [1])
    assert first.then(second).removed == ("2", "3")
    with pytest.raises(IncompatibleError, match=r"other modules.*\(2, 5\)"):
        first.then(PruningPlan({}, Layer(), replace(small, blocks=("2", "0"))).keep("layers", [1]))


def test_digest_and_equality(whole):
    a, b = whole.keep("0", [0, 1]), whole.keep("0", [1, 0])
    assert a == b
    assert hash(a) == hash(b)
    assert a != whole.keep("0", [0, 2])
    assert whole == whole.keep("0", range(6))


def test_then_is_in_the_first_plans_coordinates(whole):
    first = whole.keep("0", [1, 3, 5])
    second = PruningPlan({"0": torch.tensor([True, False, True])}, Channel(), whole.graph)
    assert first.then(second).kept["0"].nonzero().flatten().tolist() == [1, 5]
    with pytest.raises(IncompatibleError, match="this plan leaves 3"):
        first.then(PruningPlan({"0": torch.ones(6, dtype=torch.bool)}, Channel(), whole.graph))
