"""A limit of time becomes a share of multiply-accumulates."""

import sys

import pytest
import torch
from torch import nn

import secateur
from secateur.bench.zoo.lenet import lenet5
from secateur.core.budget import Budget, TimeLimit, budget_of
from secateur.core.errors import BudgetError, UnsupportedError
from secateur.measure.macs import macs
from secateur.measure.timing import share_in_time

X = torch.zeros(1, 1, 28, 28)


class Wide(nn.Linear):
    """A network of some share."""

    def __init__(self, share):
        super().__init__(1, 1)
        self.share = share


def make(share):
    if share < 0.1:
        raise BudgetError("too little", 0.1)
    return Wide(share)


def steps(share):
    """Milliseconds: a floor, and widths in steps of a twentieth, as vector registers have them."""
    return 2.0 + 8.0 * -(-share * 20 // 1) / 20


def clock(slow=lambda call: 1.0):
    seen = []

    def timer(models):
        seen.append(models)
        return {name: steps(model.share) * slow(len(seen)) for name, model in models.items()}

    return timer, seen


@pytest.mark.parametrize("ms", [3.3, 4.3, 5.99, 6.0, 9.5, 9.99])
def test_the_largest_share_by_brute_force(ms):
    timer, seen = clock()
    budget, took = share_in_time(TimeLimit(ms), Wide(1.0), X, make, timer=timer)
    fits = [n / 1000 for n in range(101, 1001) if steps(n / 1000) <= ms]
    assert budget.of == "macs"
    assert took == steps(budget.keep) <= ms
    assert abs(budget.keep - max(fits)) <= 2 / 2**6
    assert any(model.share == budget.keep for models in seen for name, model in models.items() if name == "candidate")


def test_a_machine_that_is_slower_for_a_while_changes_nothing():
    quiet, _ = clock()
    busy, _ = clock(lambda call: 3.0 if call in (3, 4, 6) else 1.0)
    wanted, found = (share_in_time(TimeLimit(6), Wide(1.0), X, make, timer=one) for one in (quiet, busy))
    assert found[0] == wanted[0]
    assert found[1] == pytest.approx(wanted[1])


def test_what_cannot_be():
    timer, _ = clock()
    with pytest.raises(BudgetError, match=r"takes 10 ms in torch as it is"):
        share_in_time(TimeLimit(10), Wide(1.0), X, make, timer=timer)
    with pytest.raises(BudgetError, match=r"the smallest network that can be made takes 3.2 ms"):
        share_in_time(TimeLimit(2.5), Wide(1.0), X, make, timer=timer)
    with pytest.raises(BudgetError, match="above 0"):
        TimeLimit(0)


def test_words():
    assert budget_of("8 ms") == TimeLimit(8.0)
    assert budget_of(" .5MS in OpenVINO") == budget_of("0.5 ms openvino") == TimeLimit(0.5, "openvino")
    assert budget_of("0.5 macs") == Budget("0.5 macs")
    assert str(TimeLimit(8)) == "8 ms in torch"
    for text in ("8", "8 s", "ms", "-8 ms"):
        with pytest.raises(BudgetError):
            budget_of(text)


@pytest.fixture
def counted(monkeypatch):
    """Time is what arithmetic takes: a nanosecond for each multiply-accumulate."""
    asked = []

    def latencies(models, example_inputs, *, runtime, seconds):
        asked.append(runtime)
        one = type("Time", (), {})
        found = {}
        for name, model in models.items():
            found[name] = one()
            found[name].p50 = macs(model, example_inputs) / 1e6
        return found

    monkeypatch.setattr(sys.modules[share_in_time.__module__], "latencies", latencies)
    return asked


def test_pruning_to_a_time(counted):
    model = lenet5()
    whole = macs(model, X)
    made = secateur.compress(
        model,
        "li2017",
        example_inputs=X,
        budget=f"{0.4 * whole / 1e6} ms in onnxruntime",
        run=secateur.Run(runtimes=()),
    )
    assert set(counted) == {"onnxruntime"}
    assert 0.36 * whole < macs(made.model, X) <= 0.4 * whole
    assert [one.runtime for one in made.report.after.latency] == ["onnxruntime"]


def test_ranks_to_a_time(counted):
    model = lenet5()
    whole = macs(model, X)
    made = secateur.factorize(model, "svd", example_inputs=X, budget=TimeLimit(0.5 * whole / 1e6))
    assert 0.45 * whole < macs(made.model, X) <= 0.5 * whole
    assert made.macs[1] == macs(made.model, X)


def test_zeros_are_not_faster():
    with pytest.raises(UnsupportedError, match=r"no runtime is faster .* Choose a granularity that shrinks"):
        secateur.compress(lenet5(), "lamp", example_inputs=X, budget="1 ms")


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_real_clock(runtime):
    """What no machine misses, so that no busy one fails."""
    model = lenet5()
    for ms, message in ((1e6, "as it is"), (1e-6, "the smallest network that can be made")):
        with pytest.raises(BudgetError, match=message):
            secateur.factorize(model, "svd", example_inputs=X, budget=TimeLimit(ms, runtime))
