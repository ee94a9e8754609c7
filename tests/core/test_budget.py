import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.budget import UNITS_OF_BUDGET, Budget, Cost, TimeLimit, read_budget
from secateur.core.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "keep", "of"),
    [
        ("0.5 macs", 0.5, "macs"),
        ("50% macs", 0.5, "macs"),
        ("50 % of the macs", 0.5, "macs"),
        ("1/2 macs", 0.5, "macs"),
        ("1 / 4 of the weights", 0.25, "weights"),
        ("half the macs", 0.5, "macs"),
        ("half of the params", 0.5, "params"),
        ("third of units", 1 / 3, "units"),
        ("quarter weights", 0.25, "weights"),
        ("all the macs", 1.0, "macs"),
        ("100% params", 1.0, "params"),
        ("  0.5  MACS ", 0.5, "macs"),
        (".25 units", 0.25, "units"),
        ("1 macs", 1.0, "macs"),
    ],
)
def test_words(text, keep, of):
    assert Budget(text) == Budget(keep=keep, of=of)


@pytest.mark.parametrize(
    "text",
    ["", "macs", "0.5", "0.5 flops", "0 macs", "-0.5 macs", "1.5 macs", "150% macs", "1/0 macs", "some macs", "1.2.3 macs",
     ". macs", "%macs", "nan macs", "inf macs", "0.5 macs please", "half the", "0.5 of 0.5 macs"],
)  # fmt: skip
def test_bad_words(text):
    with pytest.raises(BudgetError):
        Budget(text)


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.0000001, float("nan"), float("inf")])
def test_out_of_range(keep):
    with pytest.raises(BudgetError, match="A budget states what remains"):
        Budget(keep)


def test_unknown_unit_lists_the_known_ones():
    with pytest.raises(BudgetError, match="macs, params, weights, units"):
        Budget(0.5, "flops")


@given(st.floats(0.001, 1.0), st.sampled_from(UNITS_OF_BUDGET))
def test_repr_makes_it_again(keep, of):
    budget = Budget(keep, of)
    assert eval(repr(budget)) == budget
    assert pickle.loads(pickle.dumps(budget)) == copy.deepcopy(budget) == budget


@given(st.integers(1, 1000), st.sampled_from(UNITS_OF_BUDGET))
def test_its_own_words_are_read_back(thousandths, of):
    budget = Budget(thousandths / 1000, of)
    assert Budget(str(budget)) == budget


def test_tiny_budgets_are_read_back():
    assert Budget(str(Budget(1e-5))) == Budget(1e-5)


def test_cost_of():
    cost = Cost(macs=1, params=2, weights=3, units=4)
    assert [cost.of(unit) for unit in UNITS_OF_BUDGET] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("8 ms", TimeLimit(8.0)),
        ("8ms", TimeLimit(8.0)),
        ("  0.25  MS ", TimeLimit(0.25)),
        ("1e-1 ms", TimeLimit(0.1)),
        ("0.5 latency", TimeLimit(0.5, "latency")),
        ("half the latency", TimeLimit(0.5, "latency")),
        ("50 % of the latency in OpenVINO", TimeLimit(0.5, "latency", "openvino")),
        ("8 ms in onnxruntime", TimeLimit(8.0, runtime="onnxruntime")),
        ("8 ms with onnxruntime on 2 threads", TimeLimit(8.0, runtime="onnxruntime", threads=2)),
        ("8 ms on 1 thread", TimeLimit(8.0)),
    ],
)
def test_words_for_time(text, limit):
    assert read_budget(text) == limit
    assert TimeLimit(text) == limit
    assert TimeLimit(str(limit)) == limit
    assert pickle.loads(pickle.dumps(limit)) == copy.deepcopy(limit) == eval(repr(limit)) == limit


@pytest.mark.parametrize("text", ["0.5 macs", "half the params", "100% units"])
def test_other_budgets_are_read_as_before(text):
    assert read_budget(text) == Budget(text)


@pytest.mark.parametrize(
    "text",
    ["0 ms", "-1 ms", "ms", "8 ms in", "8 ms on 0 threads", "8 ms on two threads", "1.5 latency", "50% ms", "inf ms", "",
     "8 ms please", "half the time", "0.5 macs in onnxruntime"],
)  # fmt: skip
def test_bad_words_for_time(text):
    with pytest.raises(BudgetError):
        read_budget(text)


def test_a_share_is_not_a_time():
    with pytest.raises(BudgetError, match=r"8 ms is a time limit, and this needs a share of macs"):
        Budget("8 ms")
    with pytest.raises(BudgetError, match="time limit"):
        Budget(0.5, "latency")
    with pytest.raises(BudgetError, match="a time limit is above 0 ms"):
        TimeLimit("0.5 macs")


def test_milliseconds():
    assert TimeLimit(8).ms(dense=20.0) == 8.0
    assert TimeLimit(0.25, "latency").ms(dense=20.0) == 5.0
