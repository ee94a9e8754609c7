import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.graph.trace import trace
from secateur.regularizers import GroupLasso
from secateur.regularizers.base import grouped
from secateur.testing import case as cases


def moment(model, *shape):
    return cases.moment(cases.Case(model, trace(model, torch.zeros(2, *shape).double(), depth=True), ()))


def convolutions():
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1)).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model


def slow(groups):
    return sum(len(g) ** 0.5 * sum(float(x) ** 2 for x in g) ** 0.5 for g in groups)


def by_loops(model, by):
    groups = []
    for layer in (model[0], model[3]):
        w = layer.weight.detach()
        outputs, inputs, height, width = w.shape
        if by == "filter":
            groups += [w[o].flatten() for o in range(outputs)]
        elif by == "channel":
            groups += [w[:, i].flatten() for i in range(inputs)]
        elif by == "shape":
            groups += [w[:, i, y, x] for i in range(inputs) for y in range(height) for x in range(width)]
        elif by == "depth":
            groups += [w.flatten()]
    if by == "unit":
        for unit in range(3):
            parts = (model[0].weight[unit], model[0].bias[unit], model[1].weight[unit], model[1].bias[unit], model[3].weight[:, unit])  # fmt: skip
            groups.append(torch.cat([p.detach().flatten() for p in parts]))
    return slow(groups)


@pytest.mark.parametrize("by", ["filter", "channel", "shape", "depth", "unit"])
def test_against_loops(by):
    model = convolutions()
    found = GroupLasso(strength=0.3, groups=by).penalty(moment(model, 2, 4, 4))
    assert found.item() == pytest.approx(0.3 * by_loops(model, by), rel=1e-12)


def test_transposed_convolutions_have_inputs_first():
    model = nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.ReLU(), nn.Conv2d(3, 1, 1)).double()
    w, last = model[0].weight.detach(), model[2].weight.detach()
    wanted = slow([w[:, o].flatten() for o in range(3)] + [last[0].flatten()])
    assert GroupLasso(strength=1.0).penalty(moment(model, 2, 4, 4)).item() == pytest.approx(wanted)


def test_depth_is_residual_blocks_where_there_are_some():
    subject = cases.residual()
    wanted = slow(
        [
            torch.cat([p.detach().flatten() for n, p in block.named_parameters() if p.ndim == 4])
            for block in (subject.model.get_submodule(name) for name in subject.graph.blocks)
        ]
    )
    found = GroupLasso(strength=1.0, groups="depth").penalty(cases.moment(subject)).item()
    assert found == pytest.approx(wanted)


def test_groups_of_zeros_have_gradient_zero():
    model = convolutions()
    with torch.no_grad():
        model[0].weight[1] = 0
    GroupLasso(strength=1.0).penalty(moment(model, 2, 4, 4)).backward()
    assert not model[0].weight.grad[1].any()
    assert bool(torch.isfinite(model[0].weight.grad).all())


def test_unknown_groups_are_refused():
    with pytest.raises(IncompatibleError, match="'filter', 'channel'"):
        GroupLasso(groups="column")


def test_nothing_to_group():
    model = nn.Sequential(nn.Linear(2, 2)).double()
    with pytest.raises(IncompatibleError, match="may be cut"):
        GroupLasso(groups="unit").penalty(moment(model, 2))


def test_groups_are_made_once_for_a_graph():
    """Every step asks for them. Another graph, equal or not, has its own."""
    first, second = (trace(convolutions(), torch.zeros(2, 2, 4, 4).double()) for _ in range(2))
    assert grouped(first, "filter") is grouped(first, "filter")
    assert grouped(first, "filter") is not grouped(first, "unit")
    assert grouped(second, "filter") is not grouped(first, "filter")
    wider = trace(nn.Sequential(nn.Conv2d(2, 5, 1)), torch.zeros(1, 2, 4, 4))
    assert grouped(wider, "filter").count == 5
    assert grouped(first, "filter").count == 5, "three filters and two"
    assert grouped(first, "shape").count == 2 * 2 * 2 + 3
