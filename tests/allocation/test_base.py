import pytest

from secateur.allocation.base import fill, largest_share
from secateur.core.budget import Budget
from secateur.granularity import Channel
from secateur.planning.limits import Choices
from secateur.testing import case as cases


def limits(keep, of="units", multiple=1):
    graph = cases.normed(9, 8).graph
    blocks = {b.name: b for b in Channel().blocks(graph)}
    return Choices(graph, Budget(keep, of), blocks, {}, {n: b.units for n, b in blocks.items()}, multiple)


@pytest.mark.parametrize("keep", [0.2, 0.35, 0.5, 0.77, 1.0])
def test_largest_share_against_trying_all(keep):
    rules = limits(keep)

    def at(share):
        return {n: rules.round(n, share * u) for n, u in rules.blocks.items()}

    found = largest_share(at, rules)
    fitting = [at(step / 720) for step in range(721) if rules.fits(at(step / 720))]
    assert found == max(fitting, key=lambda counts: sum(counts.values()))


def test_fill_spends_in_order_and_stops():
    rules = limits(0.5)  # 8.5 of 17 units
    assert fill({"0": 3, "3": 3}, rules, lambda now: ["0", "3"]) == {"0": 4, "3": 4}
    assert fill({"0": 3, "3": 4}, rules, lambda now: ["0", "3"]) == {"0": 4, "3": 4}
    assert fill({"0": 4, "3": 4}, rules, lambda now: ["0", "3"]) == {"0": 4, "3": 4}


def test_fill_skips_what_is_too_dear():
    rules = limits(12 / 17, multiple=4)
    assert fill({"0": 4, "3": 4}, rules, lambda now: ["0", "3"]) == {"0": 8, "3": 4}
