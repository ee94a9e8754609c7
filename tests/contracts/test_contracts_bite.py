"""The suites themselves: each contract refuses a plug-in that breaks it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from secateur.core.contracts import Allocation, Repair, Schedule, Traits
from secateur.core.errors import VerificationError
from secateur.criteria import Magnitude
from secateur.evidence import InputMean, Weight
from secateur.granularity import NM, Kernel
from secateur.graph.rules import RULES, State
from secateur.repair import FisherUpdate
from secateur.testing import (
    AllocationContract,
    CriterionContract,
    GranularityContract,
    OperatorCase,
    OperatorContract,
    RepairContract,
    ScheduleContract,
    check_rule,
)
from secateur.testing.criterion import check_docstring

HONEST = Magnitude(p=1)


class Bare(Magnitude):
    """Says nothing about itself."""


class NoNumber(Magnitude):
    def saliency(self, tensor, evidence):
        return 1 / evidence[Weight][tensor]


class Upside(Magnitude):
    def saliency(self, tensor, evidence):
        return -evidence[Weight][tensor].abs()


class Writes(Magnitude):
    def saliency(self, tensor, evidence):
        return evidence[Weight][tensor].abs_()


class Throws(Magnitude):
    def saliency(self, tensor, evidence):
        return torch.rand(evidence[Weight][tensor].shape)


class Counts(Magnitude):
    def saliency(self, tensor, evidence):
        values = evidence[Weight][tensor].abs()
        return values + torch.arange(values.numel()).view_as(values)


class Greedy(Magnitude):
    needs: ClassVar = (Weight, InputMean)


class Careless(Magnitude):
    def saliency(self, tensor, evidence):
        return evidence[Weight][tensor].abs().bfloat16()


class Wrong(Magnitude):
    traits: ClassVar = Traits(scale="invariant", rescale_invariant=True)


@pytest.mark.parametrize(
    ("kind", "contract"),
    [
        (Careless, "c9_half_precision"),
        (NoNumber, "c2_finite"),
        (Upside, "c3_zero_is_least"),
        (Writes, "c4_reads_only"),
        (Throws, "c5_deterministic"),
        (Counts, "c6_permutation"),
        (Wrong, "c7_scale"),
        (Wrong, "c7_rescale_invariant"),
        (Greedy, "c8_needs"),
        (Greedy, "c8_data_free"),
        (Counts, "c12_ties"),
        (Bare, "c13_docstring"),
    ],
)
def test_criteria(kind, contract):
    check = getattr(CriterionContract(), f"test_{contract}")
    check(HONEST)
    with pytest.raises(Exception):  # noqa: B017  any failure will do
        check(kind(p=1))


@dataclass(frozen=True, kw_only=True)
class Everything(Allocation):
    def counts(self, scores, limits):
        return dict(limits.blocks)


@dataclass(frozen=True, kw_only=True)
class Nothing(Allocation):
    def counts(self, scores, limits):
        return {name: limits.round(name, 0) for name in limits.blocks}


@dataclass(frozen=True, kw_only=True)
class FirstComeFirstServed(Allocation):
    def counts(self, scores, limits):
        found = {name: limits.round(name, 0) for name in limits.blocks}
        for name in limits.blocks:
            while limits.next_up(name, found[name]) != found[name]:
                raised = {**found, name: limits.next_up(name, found[name])}
                if not limits.fits(raised):
                    break
                found = raised
        return found


@pytest.mark.parametrize(
    ("kind", "contract"),
    [
        (Everything, "meets_the_budget"),
        (Everything, "impossible_budget"),
        (Nothing, "leaves_no_room"),
        (Nothing, "all_is_all"),
        (FirstComeFirstServed, "order_of_blocks_does_not_matter"),
    ],
)
def test_allocations(kind, contract):
    with pytest.raises(AssertionError):
        getattr(AllocationContract(), f"test_{contract}")(kind())


@dataclass(frozen=True, kw_only=True)
class Uneven(NM):
    """One weight more than a whole number for each run."""

    def blocks(self, graph):
        return [replace(block, maximum=block.maximum + 1) for block in super().blocks(graph)]


@dataclass(frozen=True, kw_only=True)
class Mean(Kernel):
    """Means over kernels instead of sums, so ones are not counted."""

    def reduce(self, block, saliency):
        return super().reduce(block, saliency) / 9


@dataclass(frozen=True, kw_only=True)
class Half(Kernel):
    """Counts kernels of which it silences one row only."""

    def expand(self, graph, block, keep):
        (mask,) = super().expand(graph, block, keep).values()
        mask = mask.clone()
        mask[:, :, 1:] = True
        return {block.name: mask}


@dataclass(frozen=True, kw_only=True)
class Modest(Kernel):
    """Says of weights which it cuts that they are left whole."""

    def omitted(self, graph):
        return {block.name: "" for block in self.blocks(graph)}


@pytest.mark.parametrize(
    ("kind", "contract"),
    [
        (Uneven, "patterns"),
        (Mean, "reduce_counts_ones"),
        (Mean, "budget_counts_entries"),
        (Half, "reduce_counts_ones"),
        (Half, "budget_counts_entries"),
        (Modest, "omitted"),
    ],
)
def test_granularities(kind, contract):
    with pytest.raises(AssertionError):
        getattr(GranularityContract(), f"test_{contract}")(kind())


@dataclass(frozen=True, kw_only=True)
class Late(Schedule):
    rounds: ClassVar[int] = 1

    def keep(self, t, final):
        return 1.0 if t < 1 else final / 2


def test_schedules():
    with pytest.raises(AssertionError):
        ScheduleContract().test_ends_at_final(Late())
    with pytest.raises(AssertionError):
        ScheduleContract().test_stays_between_final_and_one(Late())


@dataclass(frozen=True, kw_only=True)
class Wakes(Repair):
    """Adds to the masked parameters behind the mask's back, and to the buffers."""

    def repair_(self, student, dense, plan, known):
        with torch.no_grad():
            for tensor in [*student.parameters(), *student.buffers()]:
                if tensor.is_floating_point():
                    tensor.add_(1)


@dataclass(frozen=True, kw_only=True)
class Dense(Repair):
    """Changes the dense network instead of the student."""

    def repair_(self, student, dense, plan, known):
        with torch.no_grad():
            dense[0].weight.mul_(2)


class Backwards(FisherUpdate):
    """Makes up for losses with the wrong sign."""

    def _changes(self, block):
        return [-change for change in FisherUpdate._changes(self, block)]


def test_repairs():
    for kind, contract in [
        (Wakes, "error_does_not_grow"),
        (Backwards, "error_does_not_grow"),
        (Wakes, "nothing_cut_nothing_done"),
        (Dense, "touches_the_student_only"),
    ]:
        with pytest.raises(AssertionError):
            getattr(RepairContract(), f"test_{contract}")(kind())


def test_examples_are_run():
    class Example:
        """Example:
        >>> 1 + 1
        3
        """

    with pytest.raises(AssertionError, match="gives something else"):
        check_docstring(Example, ("Example",))


def operator(run, **known):
    """Six neurons, `run`, and a layer that reads them."""
    return OperatorCase(
        "aten::softplus",
        lambda net, x: net.b(run(net.a(x))),
        lambda: {"a": torch.nn.Linear(4, 6), "b": torch.nn.Linear(6, 3)},
        lambda: (torch.ones(2, 4, dtype=torch.float64),),
        **known,
    )


def scaled(site):
    """Says that nothing depends on anything."""
    return State.free(2)


def crossed(site):
    """Says that entries come out in the reverse order."""
    state = site.state("self")
    return State((state.labels[0], state.labels[1].flip(0)), (False, False))


def loud(site):
    """Says the truth."""
    state = site.state("self")
    return State(state.labels, (False, False))


@pytest.mark.parametrize(
    ("rule", "run", "known", "contract"),
    [
        (loud, torch.relu, {}, "is_called"),
        (loud, lambda x: torch.nn.functional.softplus(x).cummax(-1).values, {}, "has_a_rule"),
        (scaled, torch.nn.functional.softplus, {}, "cut_or_pinned_as_stated"),
        (loud, torch.nn.functional.softplus, {"groups": {"a": 5}}, "cut_or_pinned_as_stated"),
        (loud, torch.nn.functional.softplus, {"pinned": {"a": "sorts"}}, "cut_or_pinned_as_stated"),
        (loud, torch.nn.functional.softplus, {"pinned": {"z": "sorts"}}, "cut_or_pinned_as_stated"),
        (loud, lambda x: torch.nn.functional.softplus(x) * 0, {}, "masked_is_shrunk"),
        (crossed, torch.nn.functional.softplus, {}, "masked_is_shrunk"),
        (crossed, torch.nn.functional.softplus, {}, "masked_is_shrunk_in_training"),
    ],
)
def test_operator_rules(monkeypatch, rule, run, known, contract):
    monkeypatch.setitem(RULES, "aten::softplus", loud)
    check_rule(operator(torch.nn.functional.softplus, groups={"a": 6}))
    monkeypatch.setitem(RULES, "aten::softplus", rule)
    with pytest.raises((AssertionError, VerificationError)):
        getattr(OperatorContract(), f"test_{contract}")(operator(run, **known))
