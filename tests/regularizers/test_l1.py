import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.graph.trace import trace
from secateur.regularizers import L1, L2, Hoyer
from secateur.testing import case as cases


def network():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, -4.0], [0.0, 1.0]]))
        model[2].weight.copy_(torch.tensor([[-2.0, 0.0]]))
        model[0].bias.fill_(100)
    return model, cases.moment(cases.Case(model, trace(model, torch.zeros(1, 2).double()), ()))


def test_l1_by_hand():
    model, at = network()
    found = L1(strength=0.1).penalty(at)
    assert found.item() == pytest.approx(1.0)
    found.backward()
    assert model[0].weight.grad.tolist() == [[0.1, -0.1], [0.0, 0.1]]
    assert model[0].bias.grad is None


def test_l2_by_hand():
    model, at = network()
    found = L2(strength=0.1).penalty(at)
    assert found.item() == pytest.approx(0.05 * (9 + 16 + 1 + 4))
    found.backward()
    assert torch.allclose(model[0].weight.grad, 0.1 * model[0].weight)


def test_hoyer_by_hand():
    _, at = network()
    assert Hoyer(strength=1.0).penalty(at).item() == pytest.approx(64 / 26 + 1)
    # filters have norms 5 and 1, then 2
    assert Hoyer(strength=1.0, groups="filter").penalty(at).item() == pytest.approx(36 / 26 + 1)
    # channels have norms 3 and the root of 17, then 2 and none
    assert Hoyer(strength=1.0, groups="channel").penalty(at).item() == pytest.approx((3 + 17**0.5) ** 2 / 26 + 1)


def test_hoyer_does_not_care_for_scale_and_counts():
    model, at = network()
    before = Hoyer().penalty(at).item()
    with torch.no_grad():
        model[0].weight.mul_(7)
    assert Hoyer().penalty(at).item() == pytest.approx(before)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -2.0], [0.0, 2.0]]))
    assert Hoyer(strength=1.0).penalty(at).item() == pytest.approx(3 + 1)


def test_weights_used_twice_are_charged_once():
    layer = nn.Linear(2, 2, bias=False)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    at = cases.moment(cases.Case(model, trace(model, torch.zeros(1, 2)), ()))
    assert L1(strength=1.0).penalty(at).item() == pytest.approx(layer.weight.abs().sum().item())


@pytest.mark.parametrize("kind", [L1, L2, Hoyer])
def test_negative_strength_is_refused(kind):
    with pytest.raises(IncompatibleError, match="strength=-1"):
        kind(strength=-1)
