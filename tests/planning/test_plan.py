import re
from dataclasses import replace
from itertools import combinations, product

import pytest
import torch
from torch import nn

from secateur.allocation import Global, Uniform
from secateur.core.budget import UNITS_OF_BUDGET, Budget
from secateur.core.errors import BudgetError, IncompatibleError, UnknownNameError, UnsupportedError
from secateur.core.rng import generator
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, Layer, Weight
from secateur.graph.cost import cost
from secateur.graph.trace import trace
from secateur.planning import Constraints, plan
from secateur.testing import case as cases

WIDTHS = {"0": 4, "2": 5, "4": 3}


def build(a, b, c):
    return nn.Sequential(
        nn.Conv2d(2, a, 3), nn.ReLU(), nn.Conv2d(a, b, 3), nn.ReLU(), nn.Conv2d(b, c, 1), nn.ReLU(), nn.Conv2d(c, 2, 1)
    )


@pytest.fixture(scope="module")
def graph():
    return trace(build(*WIDTHS.values()), torch.zeros(1, 2, 7, 7))


def scores(graph, granularity=None):
    unit = granularity or Channel()
    values = {
        b.name: torch.rand(b.units, generator=generator(0, b.name), dtype=torch.float64) for b in unit.blocks(graph)
    }
    return Scores(values, unit, "noise", Scope.GLOBAL)


def measured(a, b, c):
    """Multiply-accumulates and parameters of a network built at these widths, from the shapes of its layers."""
    macs = 25 * a * 2 * 9 + 9 * b * a * 9 + 9 * c * b + 9 * 2 * c
    weights = a * 2 * 9 + b * a * 9 + c * b + 2 * c
    return {"macs": macs, "params": weights + a + b + c + 2, "weights": weights, "units": a + b + c}


ALL_WIDTHS = list(product(*(range(1, n + 1) for n in WIDTHS.values())))


def test_cost_at_all_widths(graph):
    for widths in ALL_WIDTHS:
        found = cost(graph, dict(zip(WIDTHS, widths, strict=True)))
        assert {of: found.of(of) for of in UNITS_OF_BUDGET} == measured(*widths)
    model = build(2, 3, 1)
    assert measured(2, 3, 1)["params"] == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("allocation", [Uniform(), Global()], ids=repr)
@pytest.mark.parametrize("of", UNITS_OF_BUDGET)
def test_budget_met_and_nothing_more_fits(graph, allocation, of):
    """Brute force over all 60 width combinations: no network at least as wide everywhere, and wider somewhere, fits."""
    whole = measured(*WIDTHS.values())[of]
    spend = {widths: measured(*widths)[of] for widths in ALL_WIDTHS}
    for target in sorted(set(spend.values()))[::3]:
        made = plan(graph, scores(graph), Budget(target / whole, of), allocation)
        chosen = tuple(made.width(name) for name in WIDTHS)
        assert spend[chosen] <= target
        assert made.provenance.reached == pytest.approx(spend[chosen] / whole)
        wider = [w for w in ALL_WIDTHS if w != chosen and all(x >= y for x, y in zip(w, chosen, strict=True))]
        assert all(spend[w] > target for w in wider)


@pytest.mark.parametrize("of", UNITS_OF_BUDGET)
def test_reachable_is_right_by_brute_force(graph, of):
    whole = measured(*WIDTHS.values())[of]
    with pytest.raises(BudgetError) as caught:
        plan(graph, scores(graph), Budget(1e-6, of))
    least = min(measured(*widths)[of] for widths in ALL_WIDTHS)
    assert caught.value.reachable == pytest.approx(least / whole, rel=1e-12)
    made = plan(graph, scores(graph), Budget(caught.value.reachable, of))
    assert [made.width(name) for name in WIDTHS] == [1, 1, 1]


def test_reachable_with_multiple_and_frozen(graph):
    rules = Constraints(multiple=2, frozen=("2",))
    with pytest.raises(BudgetError) as caught:
        plan(graph, scores(graph), Budget(0.01, "macs"), constraints=rules)
    allowed = [w for w in ALL_WIDTHS if w[1] == 5 and w[0] in (2, 4) and w[2] in (2, 3)]
    least = min(measured(*w)["macs"] for w in allowed) / measured(*WIDTHS.values())["macs"]
    assert caught.value.reachable == pytest.approx(least, rel=1e-12)


def test_the_figure_in_the_message_can_be_asked_for(graph):
    for of in UNITS_OF_BUDGET:
        for rules in (Constraints(), Constraints(frozen=("0",)), Constraints(frozen=("2",)), Constraints(multiple=2)):
            with pytest.raises(BudgetError) as caught:
                plan(graph, scores(graph), Budget(1e-6, of), constraints=rules)
            advice = float(re.search(r"Ask for ([\d.e-]+) or more", str(caught.value))[1])
            plan(graph, scores(graph), Budget(advice, of), constraints=rules)


def test_best_units_stay(graph):
    given = scores(graph)
    made = plan(graph, given, Budget(0.5, "units"))
    for name, keep in made.kept.items():
        assert given.values[name][keep].min() > given.values[name][~keep].max()


def test_keep_all_is_the_identity(graph):
    for allocation in (Uniform(), Global()):
        made = plan(graph, scores(graph), Budget(1.0), allocation)
        assert all(bool(keep.all()) for keep in made.kept.values())
        assert not made.masks()
        assert made.provenance.reached == 1


def test_frozen_and_only(graph):
    frozen = plan(graph, scores(graph), Budget(0.6, "macs"), constraints=Constraints(frozen=("0",)))
    assert frozen.width("0") == 4
    assert frozen.width("2") < 5
    assert plan(graph, scores(graph), Budget(0.6, "macs"), constraints=Constraints(only=("[24]",))) == frozen


def test_multiple(graph):
    for keep in (0.5, 0.7, 0.9):
        made = plan(graph, scores(graph), Budget(keep, "units"), constraints=Constraints(multiple=2))
        assert all(made.width(n) % 2 == 0 or made.width(n) == units for n, units in WIDTHS.items())
    with pytest.raises(IncompatibleError, match="multiple=0"):
        Constraints(multiple=0)


def test_multiple_wider_than_a_block_keeps_it_whole(graph):
    with pytest.raises(BudgetError) as caught:
        plan(graph, scores(graph), Budget(0.5), constraints=Constraints(multiple=16))
    assert caught.value.reachable == 1


@pytest.mark.parametrize("rules", [{"frozen": ("stem.*",)}, {"only": ("nothing",)}, {"frozen": ("0", "1")}])
def test_patterns_that_match_nothing(graph, rules):
    with pytest.raises(UnknownNameError, match=r"matches no block\. Blocks: 0, 2, 4"):
        plan(graph, scores(graph), Budget(0.5), constraints=Constraints(**rules))


def test_patterns_that_lie_inside_a_block(graph):
    with pytest.raises(
        UnknownNameError, match=r"pattern '2\.bias' matches no block\. Its units move together with '2':"
    ):
        plan(graph, scores(graph), Budget(0.5), constraints=Constraints(frozen=("2.bias",)))
    with pytest.raises(UnknownNameError, match=r"may not be cut: .*'6' \(pinned: is an output of the model\)"):
        plan(graph, scores(graph), Budget(0.5), constraints=Constraints(only=("6",)))


def test_one_pattern_is_not_taken_for_its_letters(graph):
    assert Constraints(frozen="24", only=["0", "2"]) == Constraints(frozen=("24",), only=("0", "2"))
    with pytest.raises(UnknownNameError, match="'24' matches no block"):
        plan(graph, scores(graph), Budget(0.5), constraints=Constraints(frozen="24"))


def test_pinned_groups_may_be_frozen_as_well(graph):
    rules = Constraints(frozen=("6", "2"))
    assert plan(graph, scores(graph), Budget(0.6), constraints=rules).width("2") == 5
    with pytest.raises(UnknownNameError, match="'6' matches no block"):  # all its single weights would still be free
        plan(graph, scores(graph, Weight()), Budget(0.6), constraints=Constraints(frozen=("6",)))


def test_everything_frozen(graph):
    with pytest.raises(UnsupportedError, match=r"Freeze less\. Frozen: 0, 2, 4\. Pinned besides: .*6 \(is an output"):
        plan(graph, scores(graph), Budget(0.5), constraints=Constraints(frozen=("*",)))
    with pytest.raises(UnsupportedError, match=r"Frozen: 0.weight, 2.weight, 4.weight, 6.weight\.$"):
        plan(graph, scores(graph, Weight()), Budget(0.5), constraints=Constraints(frozen=("*",)))


def test_budgets_out_of_reach_name_what_is_not_cut_and_why(graph):
    with pytest.raises(BudgetError) as caught:
        plan(graph, scores(graph), Budget(0.1), constraints=Constraints(frozen=("0",), multiple=4))
    told = str(caught.value).split("Nothing goes from: ")[1]
    assert told == (
        "0 (frozen by the constraints); 4 (no narrower width is allowed by multiple and minimum); 0.inputs (reads what "
        "cannot be cut (an input of the model, say): operator aten.convolution at 0); 6 (is an output of the model)."
    )
    with pytest.raises(BudgetError, match=r"Nothing goes from: 0.weight \(frozen by the constraints\)\.$"):
        plan(graph, scores(graph, Weight()), Budget(1e-6), constraints=Constraints(frozen=("0.weight",)))


def test_a_budget_in_what_the_model_does_not_have(graph):
    idle = replace(graph, ops=())
    with pytest.raises(BudgetError, match=r"has no macs to cut\. Write the budget in params or units"):
        plan(idle, scores(idle), Budget("0.5 macs"))


@pytest.mark.parametrize("of", UNITS_OF_BUDGET)
@pytest.mark.parametrize("multiple", [1, 2])
def test_what_was_asked_of_each_block(graph, of, multiple):
    """Uniform asks one share of all blocks: the one at which the polynomial cost, in real numbers, meets the budget."""
    made = plan(graph, scores(graph), Budget(0.8, of), constraints=Constraints(multiple=multiple, frozen=("2",)))
    whole = measured(*WIDTHS.values())[of]
    assert set(made.provenance.asked) == {"0", "4"}
    (share,) = set(made.provenance.asked.values())
    at = measured(4 * share, 5, 3 * share)[of] if share < 1 else whole
    assert at == pytest.approx(0.8 * whole, rel=1e-9)
    assert made.provenance.frozen == ("2",)


def test_what_a_ranking_asked_of_each_block(graph):
    """Where every width is allowed nothing comes between; multiples do, and then the two differ."""
    for multiple in (1, 2):
        made = plan(graph, scores(graph), Budget(0.5, "units"), Global(), constraints=Constraints(multiple=multiple))
        asked = {n: round(share * WIDTHS[n], 9) for n, share in made.provenance.asked.items()}
        best = sorted(((s, n) for n, v in scores(graph).values.items() for s in v.tolist()), reverse=True)[:6]
        assert asked == {n: sum(b == n for _, b in best) for n in WIDTHS}
        assert multiple > 1 or asked == {n: made.width(n) for n in WIDTHS}


def test_nothing_to_cut_tells_the_reasons():
    found = trace(nn.Linear(3, 2), torch.zeros(1, 3))
    with pytest.raises(UnsupportedError, match="is an output of the model"):
        plan(found, Scores({}, Channel(), "", Scope.GLOBAL), Budget(0.5))


def test_within_keeps_dead_units_dead(graph):
    first = plan(graph, scores(graph), Budget(0.7, "units"))
    turned = Scores({n: -v for n, v in scores(graph).values.items()}, Channel(), "turned", Scope.GLOBAL)
    for allocation in (Uniform(), Global()):
        second = plan(graph, turned, Budget(0.4, "units"), allocation, constraints=Constraints(within=first))
        assert sum(second.width(n) for n in WIDTHS) == 4
        for name, keep in second.kept.items():
            assert not bool((keep & ~first.kept[name]).any())


def test_within_a_smaller_plan_changes_nothing(graph):
    first = plan(graph, scores(graph), Budget(0.4, "units"))
    again = plan(graph, scores(graph), Budget(0.9, "units"), constraints=Constraints(within=first))
    assert again == first


@pytest.mark.parametrize("rules", [{"frozen": ("0",)}, {"only": ("2", "4")}])
@pytest.mark.parametrize("granularity", [Channel(), Weight()], ids=repr)
def test_within_and_frozen_does_not_wake_the_dead(graph, granularity, rules):
    if isinstance(granularity, Weight):
        rules = {k: tuple(f"{n}.weight" for n in v) for k, v in rules.items()}
    given = scores(graph, granularity)
    first = plan(graph, given, Budget(0.7, "macs"))
    name = next(iter(given.values))
    second = plan(graph, given, Budget(0.5, "macs"), constraints=Constraints(within=first, **rules))
    assert torch.equal(second.kept[name], first.kept[name])
    assert int((~first.kept[name]).sum()) > 0
    assert 0.4 < second.provenance.reached <= 0.5


@pytest.mark.parametrize("of", UNITS_OF_BUDGET)
def test_single_weights(graph, of):
    """What a plan of single weights claims to keep is what counting finds."""
    made = plan(graph, scores(graph, Weight()), Budget(0.5, of))
    kept = {n: int(k.sum()) for n, k in made.kept.items()}
    full = measured(*WIDTHS.values())
    places = {"0.weight": 25, "2.weight": 9, "4.weight": 9, "6.weight": 9}
    counted = {
        "weights": sum(kept.values()),
        "units": sum(kept.values()),
        "params": sum(kept.values()) + full["params"] - full["weights"],
        "macs": sum(kept[n] * places[n] for n in places),
    }[of]
    whole = full["weights"] if of == "units" else full[of]
    assert made.provenance.reached == pytest.approx(counted / whole)
    assert counted / whole <= 0.5


@pytest.fixture(scope="module")
def deep():
    """Residual blocks of unequal size, called 2, 3 and 5."""
    return cases.residual().graph


def ranked(deep, *values):
    return Scores({"layers": torch.tensor(values, dtype=torch.float64)}, Layer(), "by hand", Scope.GLOBAL)


def left(deep, gone, of):
    return cost(deep.without(gone)).of(of) / cost(deep).of(of) if of != "units" else 1 - len(gone) / 3


@pytest.mark.parametrize("allocation", [Uniform(), Global()], ids=repr)
@pytest.mark.parametrize("values", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (1, 1, 1)])
@pytest.mark.parametrize("of", UNITS_OF_BUDGET)
def test_modules_by_brute_force(deep, values, of, allocation):
    """All eight choices: the worst go until the budget is met, then the best of those come back that fit."""
    order = [("2", "3", "5")[u] for u in sorted(range(3), key=lambda u: (-values[u], u))]
    every = {left(deep, gone, of) for n in range(4) for gone in combinations(("2", "3", "5"), n)} - {0}
    for target in sorted(every):
        kept = next(order[:n] for n in (3, 2, 1, 0) if left(deep, order[n:], of) <= target * (1 + 1e-12))
        for name in order:
            more = [n for n in order if n in kept or n == name]
            if left(deep, [n for n in order if n not in more], of) <= target * (1 + 1e-12):
                kept = more
        made = plan(deep, ranked(deep, *values), Budget(target, of), allocation)
        assert set(made.removed) == {"2", "3", "5"} - set(kept)
        assert made.provenance.reached == pytest.approx(left(deep, made.removed, of))


def test_modules_have_names_to_freeze(deep):
    given = ranked(deep, 1, 2, 3)
    for rules in ({"frozen": ("2",)}, {"only": ("[35]",)}, {"only": ("layers",), "frozen": ("2",)}):
        made = plan(deep, given, Budget(0.5, "units"), constraints=Constraints(**rules))
        assert made.removed == ("3", "5")
    with pytest.raises(BudgetError) as caught:
        plan(deep, given, Budget(0.1, "params"), constraints=Constraints(frozen=("2", "3")))
    assert caught.value.reachable == pytest.approx(left(deep, ["5"], "params"))
    for rules in ({"frozen": ("layers",)}, {"frozen": ("2", "3", "5")}, {"only": ("2",), "frozen": ("2",)}):
        with pytest.raises(UnsupportedError, match="Freeze less"):
            plan(deep, given, Budget(0.5), constraints=Constraints(**rules))
    with pytest.raises(UnknownNameError, match=r"matches no block\. Blocks: layers, 2, 3, 5"):
        plan(deep, given, Budget(0.5), constraints=Constraints(frozen=("conv*",)))


def test_modules_within_an_earlier_plan(deep):
    first = plan(deep, ranked(deep, 1, 2, 3), Budget(0.7, "units"))
    assert first.removed == ("2",)
    second = plan(deep, ranked(deep, 9, 5, 1), Budget(0.4, "units"), constraints=Constraints(within=first))
    assert second.removed == ("2", "5")
    rules = Constraints(within=first, frozen=("2", "5"), multiple=16)
    assert plan(deep, ranked(deep, 9, 5, 1), Budget(0.4, "units"), constraints=rules).removed == ("2", "3")
    # What cannot come back is not what a larger budget brings back.
    again = plan(deep, ranked(deep, 9, 5, 1), Budget(1.0, "params"), constraints=Constraints(within=first))
    assert again.removed == ("2",)


def test_provenance(graph):
    made = plan(graph, scores(graph), Budget("half the macs"), Uniform(), seed=3)
    assert made.provenance.criterion == "noise"
    assert made.provenance.allocation == "Uniform()"
    assert made.provenance.budget == "0.5 macs"
    assert made.provenance.seed == 3
    assert made.provenance.version


def test_scores_that_rank_within_rows_keep_equally_many_of_each(graph):
    """Wanda compares within output rows only: one loud row must not take the places of the others."""
    loud = scores(graph, Weight())
    for name, values in loud.values.items():
        rows = graph.tensors[name].axes[0].size(graph.full)
        values.view(rows, -1)[0] += 100
    made = plan(graph, replace(loud, comparable=Scope.ROW), Budget(0.5, "weights"))
    for name, keep in made.kept.items():
        rows = keep.view(graph.tensors[name].axes[0].size(graph.full), -1)
        assert len(set(rows.sum(1).tolist())) == 1
        best = torch.topk(loud.values[name].view(rows.shape), int(rows[0].sum()), dim=1).indices
        assert bool(rows.gather(1, best).all())
