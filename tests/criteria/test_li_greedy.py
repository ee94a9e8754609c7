import torch

from benchmarks.criteria.oracles import li_greedy as oracle
from secateur.core.budget import Budget
from secateur.criteria import LiGreedy, Magnitude
from secateur.evidence import collect
from secateur.granularity import Channel
from secateur.graph.trace import trace
from secateur.planning import Constraints, decide, plan, score


def test_against_sums_by_hand():
    """Ten networks, in some of which leaving maps out changes the choice."""
    assert oracle.error() == 0


def test_without_planning_it_is_the_l1_norm():
    model = oracle.network(0)
    graph = trace(model, torch.zeros(1, 2, 5, 5, dtype=torch.float64))
    evidence = collect(model, None, LiGreedy.needs, graph=graph)
    greedy, plain = (score(graph, c, evidence).values for c in (LiGreedy(), Magnitude(p=1)))
    assert all(torch.equal(greedy[name], plain[name]) for name in plain)


def test_keeps_as_many_of_each_layer_and_respects_constraints():
    model = oracle.network(1)
    graph = trace(model, torch.zeros(1, 2, 5, 5, dtype=torch.float64))
    evidence = collect(model, None, LiGreedy.needs, graph=graph)
    rules = Constraints(frozen=("2",), multiple=2)
    plain = plan(graph, score(graph, Magnitude(p=1), evidence), Budget("0.5 macs"), constraints=rules)
    made = decide(graph, LiGreedy(), evidence, Budget("0.5 macs"), granularity=Channel(), constraints=rules)
    assert {n: made.width(n) for n in made.kept} == {n: plain.width(n) for n in plain.kept}
    assert made.width("2") == 6
    assert made.provenance.allocation == "Uniform()" and made.provenance.criterion == "LiGreedy()"
    first = decide(graph, LiGreedy(), evidence, Budget("0.7 units"))
    second = decide(graph, LiGreedy(), evidence, Budget("0.4 units"), constraints=Constraints(within=first))
    assert all(not bool((second.kept[n] & ~first.kept[n]).any()) for n in first.kept)
