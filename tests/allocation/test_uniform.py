import torch

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel
from secateur.planning.limits import Choices
from secateur.testing import case as cases


def counts(keep, of="units", widths=(9, 8)):
    graph = cases.normed(*widths).graph
    blocks = {b.name: b for b in Channel().blocks(graph)}
    limits = Choices(graph, Budget(keep, of), blocks, {}, {n: b.units for n, b in blocks.items()})
    scores = Scores({n: torch.arange(float(b.units)) for n, b in blocks.items()}, Channel(), "", Scope.GROUP)
    return dict(Uniform().counts(scores, limits))


def test_by_hand():
    # half of 17 is 8.5: shares of 1/2 give 4 and 4
    assert counts(0.5) == {"0": 4, "3": 4}
    # 10.2 units: 5 + 5 is 10, and no share gives more
    assert counts(0.6) == {"0": 5, "3": 5}
    # 12 units: at 2/3 of 9 and 2/3 of 8, 6 and 5; the remainder goes where most was rounded off, 5/8 < 6/9
    assert counts(12 / 17) == {"0": 6, "3": 6}


def test_scores_do_not_matter_for_counts():
    assert counts(0.5, "macs") == counts(0.5, "macs")


def test_shares_are_as_equal_as_whole_units_allow():
    for step in range(4, 21):
        found = counts(step / 20, widths=(10, 20))
        assert abs(found["0"] / 10 - found["3"] / 20) <= 1 / 10
