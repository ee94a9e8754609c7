import pytest
import torch

from benchmarks.criteria.oracles import sigma_threshold as oracle
from secateur.allocation import SigmaThreshold, above
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.planning import Constraints, plan, score
from secateur.testing import case as cases


def test_against_trying_every_threshold():
    assert oracle.error() == 0


def test_the_threshold_of_han():
    """With weights of mean zero, what stays is |w| >= q sigma(w) with one q for all layers."""
    case = cases.normed(20, 20)
    layers = {"0.weight": case.model[0], "3.weight": case.model[3], "7.weight": case.model[7]}
    with torch.no_grad():
        for name, layer in layers.items():
            half = torch.rand(layer.weight.numel() // 2, generator=generator(0, name), dtype=torch.float64)
            layer.weight.copy_((torch.cat([half, -half]) * (1 + len(name))).view(layer.weight.shape))
    found = score(case.graph, Magnitude(), case.evidence(Magnitude.needs), granularity=Weight())
    made = plan(case.graph, found, Budget(0.31, "units"), SigmaThreshold())
    least, most = [], []
    for name, layer in layers.items():
        sigma = float(layer.weight.detach().std(correction=0))
        sizes = layer.weight.detach().abs().flatten() / sigma
        least.append(float(sizes[made.kept[name]].min()))
        most.append(float(sizes[~made.kept[name]].max()))
    assert max(most) <= min(least) + 1e-12


def test_scale_of_a_layer_does_not_matter():
    case = cases.normed(20, 20)
    before = score(case.graph, Magnitude(), case.evidence(Magnitude.needs), granularity=Weight())
    with torch.no_grad():
        case.model[3].weight.mul_(1000)
    after = score(case.graph, Magnitude(), case.evidence(Magnitude.needs), granularity=Weight())
    for about in ("zero", "mean"):
        plans = [plan(case.graph, s, Budget(0.4, "units"), SigmaThreshold(about=about)) for s in (before, after)]
        assert all(torch.equal(plans[0].kept[n], plans[1].kept[n]) for n in before.values)


def test_what_is_gone_already_counts_for_nothing():
    """The second round's sigma is that of what the first left."""
    case = cases.normed(20, 20)
    found = score(case.graph, Magnitude(), case.evidence(Magnitude.needs), granularity=Weight())
    first = plan(case.graph, found, Budget(0.6, "units"), SigmaThreshold())
    second = plan(case.graph, found, Budget(0.3, "units"), SigmaThreshold(), constraints=Constraints(within=first))
    left = {n: v[first.kept[n]] for n, v in found.values.items()}
    marks = {n: v / v.square().mean().sqrt() for n, v in left.items()}
    most = int(0.3 * sum(len(v) for v in found.values.values()) + 1e-9)
    q = torch.cat(list(marks.values())).sort(descending=True).values[most - 1]
    assert {n: second.width(n) for n in marks} == {n: int((m >= q).sum()) for n, m in marks.items()}


def test_a_fixed_threshold():
    values = torch.tensor([1.0, 2.0, 3.0, 6.0])  # mean 3, deviation sqrt(3.5) = 1.87; root mean square 3.54
    assert above(values, -1, about="mean").tolist() == [False, True, True, True]
    assert above(values, 1, about="mean").tolist() == [False, False, False, True]
    assert above(values, 0.5).tolist() == [False, True, True, True]


def test_other_centres_are_refused():
    with pytest.raises(IncompatibleError, match="about must be 'zero' or 'mean'"):
        SigmaThreshold(about="median")
