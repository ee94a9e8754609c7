import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur.core.groups import Axis, Op, Role, Slot, TensorAxes, fingerprint, fingerprint_of

WIDTHS = {"a": 3, "b": 5}


def test_size():
    assert Axis(2).size({}) == 2
    assert Axis(2, (("a", 4), ("b", 1))).size(WIDTHS) == 2 + 12 + 5


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9))
def test_times_and_over_are_inverse(fixed, a, b, factor):
    axis = Axis(fixed, (("a", a), ("b", b)))
    assert axis.times(factor).size(WIDTHS) == factor * axis.size(WIDTHS)
    assert axis.times(factor).over(factor) == axis


def test_products():
    axes = (Axis(0, (("a", 2),)), Axis(1, (("b", 1),)))
    assert TensorAxes(axes, buffer=False).numel(WIDTHS) == 6 * 6
    assert Op("conv", "m", "m.weight", (Axis(7), *axes)).macs(WIDTHS) == 7 * 36


def test_slots_are_values():
    one, two = (Slot("w", 0, Role.PRODUCES, torch.tensor([[0], [1]])) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != Slot("w", 0, Role.PRODUCES, torch.tensor([[1], [0]]))
    assert one != Slot("w", 1, Role.PRODUCES, torch.tensor([[0], [1]]))


def test_fingerprint_knows_names_and_shapes_only():
    model = nn.Linear(2, 3)
    assert fingerprint(model) == fingerprint(nn.Linear(2, 3)) == fingerprint_of([("bias", (3,)), ("weight", (3, 2))])
    assert fingerprint(model) != fingerprint(nn.Linear(3, 2))
    assert fingerprint(model) != fingerprint(nn.Sequential(nn.Linear(2, 3)))
