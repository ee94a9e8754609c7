import pytest
import torch

from benchmarks.criteria.oracles import erk as oracle
from secateur.allocation import ERK
from secateur.core.budget import Budget
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, Weight
from secateur.planning import plan
from secateur.planning.limits import Choices
from secateur.testing import case as cases


def counts(granularity, keep, how, widths=(40, 30), of="units"):
    graph = cases.normed(*widths).graph
    blocks = {b.name: b for b in granularity.blocks(graph)}
    limits = Choices(graph, Budget(keep, of), blocks, {}, {n: b.units for n, b in blocks.items()})
    scores = Scores({n: torch.zeros(b.units) for n, b in blocks.items()}, granularity, "none", Scope.GROUP)
    return dict(how.counts(scores, limits)), {n: b.units for n, b in blocks.items()}


def test_against_the_published_loop():
    """To the weight, but for the one that rounding to whole weights and filling up may move."""
    assert oracle.error() == 0


def test_shares_by_hand():
    """Weights (40, 2, 3, 3), (30, 40, 3, 3) and (3, 480): raw densities 48/720, 76/10800 and 483/1440."""
    found, units = counts(Weight(), 0.06, ERK())
    assert units == {"0.weight": 720, "3.weight": 10800, "7.weight": 1440}
    epsilon = 0.06 * 12960 / (48 + 76 + 483)
    wanted = {"0.weight": 48 * epsilon, "3.weight": 76 * epsilon, "7.weight": 483 * epsilon}
    assert all(found[n] == pytest.approx(wanted[n], abs=1) for n in units)
    assert sum(found.values()) == int(0.06 * 12960)


def test_small_layers_stay_dense_and_others_make_up_for_it():
    """At 0.2, epsilon 4.27 would ask for 1.43 of the last layer; set aside, it leaves 1152 of 11520 to the others."""
    found, _ = counts(Weight(), 0.2, ERK())
    assert found["7.weight"] == 1440
    epsilon = (0.2 * 12960 - 1440) / (48 + 76)
    assert found["0.weight"] == pytest.approx(48 * epsilon, abs=1)
    assert found["3.weight"] == pytest.approx(76 * epsilon, abs=1)


def test_without_the_kernel():
    """42/80, 70/1200, 483/1440."""
    found, _ = counts(Weight(), 0.03, ERK(kernel=False))
    epsilon = 0.03 * 12960 / (42 / 80 * 720 + 70 / 1200 * 10800 + 483)
    assert found["0.weight"] == pytest.approx(42 / 80 * 720 * epsilon, abs=1)
    assert found["3.weight"] == pytest.approx(70 / 1200 * 10800 * epsilon, abs=1)


def test_macs_are_met_too():
    found, units = counts(Weight(), 0.08, ERK(), of="macs")
    density = {n: found[n] / units[n] for n in units}
    assert density["0.weight"] / density["3.weight"] == pytest.approx((48 / 720) / (76 / 10800), rel=0.02)


def test_of_channels_a_layer_keeps_the_share_of_its_first_weight():
    found, units = counts(Channel(), 0.5, ERK())
    assert found["0"] / units["0"] > found["3"] / units["3"]
    assert sum(found.values()) == 35


def test_in_a_plan():
    graph = cases.normed(40, 30).graph
    scores = Scores(
        {b.name: torch.arange(b.units).double() for b in Weight().blocks(graph)}, Weight(), "by hand", Scope.GROUP
    )
    made = plan(graph, scores, Budget(0.2, "units"), ERK())
    assert made.width("7.weight") == 1440
    assert made.provenance.asked["7.weight"] == 1.0
