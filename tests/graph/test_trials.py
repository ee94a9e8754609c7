"""The cuts that are tried: what no trial cuts, no trial can find wrong."""

from itertools import combinations

import pytest
import torch
from torch import nn

from secateur.apply.verify import verify
from secateur.core.groups import ChannelGraph, Group
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.graph.probe import _crowded, _end_widths
from secateur.graph.trace import trace


def graph_of(*units):
    groups = {f"g{n}": Group(f"g{n}", size, ()) for n, size in enumerate(units)}
    return ChannelGraph(groups, {}, (), (), (), (), fingerprint="", unknown={}, inputs={})


def widths(graph):
    """How wide every group is in both turns."""
    turns = [_end_widths(graph, turn) for turn in (0, 1)]
    return {name: tuple(int(turn[name].sum()) for turn in turns) for name in graph.groups}


@pytest.mark.parametrize("units", range(2, 20))
def test_every_group_is_cut_and_never_as_wide_as_before(units):
    found = widths(graph_of(*[units] * 40))
    assert all(first != second for first, second in found.values())


@pytest.mark.parametrize("units", range(4, 20))
def test_groups_that_agree_in_one_turn_part_in_the_other(units):
    graph = graph_of(*[units] * 6)
    assert not _crowded(graph)
    assert all(a != b for a, b in combinations(widths(graph).values(), 2))


def test_too_many_groups_for_that():
    assert _crowded(graph_of(3, 3, 3))
    assert not _crowded(graph_of(3, 3, 64, 64, 64))


class Flat(nn.Module):
    """A linear layer that keeps its width, as GPT-2's does."""

    def __init__(self, c, nf):
        super().__init__()
        self.nf = nf
        self.weight, self.bias = nn.Parameter(torch.randn(c, nf)), nn.Parameter(torch.randn(nf))

    def forward(self, x):
        return torch.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight).view(*x.size()[:-1], self.nf)


def test_a_width_of_the_second_of_two_equal_groups_follows():
    """Found by random networks: both trials once left the second group of four units whole."""
    model = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 4), Flat(4, 4), nn.Linear(4, 3)).eval()
    graph = trace(model, torch.randn(2, 6, 5))
    assert [(a.module, a.name) for a in graph.attributes if a.name == "nf"] == [("2", "nf")]
    plan = PruningPlan({}, Channel(), graph).keep("2", [0, 2, 3])
    assert verify(model, plan) < 1e-7
