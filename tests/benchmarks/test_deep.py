"""The steps behind docs/deep.md: hidden units in another order, the paper's sizes, compensated rounding."""

import pytest
import torch
from torch import nn

import secateur
from benchmarks.deep.han import in_papers_format
from benchmarks.deep.mobilenet import OnGrid, compensated
from benchmarks.deep.units import ORDERS, arranged, in_full, silenced
from benchmarks.mnist.narrow import PICTURE
from secateur.bench.zoo.lenet import lenet5, lenet_300_100
from secateur.core.quantized import Quantized


def sparse(make, keep=0.03):
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(torch.rand_like(p) < (keep if p.ndim > 1 else 0.5)).mul_(10)
    return model


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("make", [lenet5, lenet_300_100])
def test_another_order_of_hidden_units_changes_nothing(make, order):
    model = sparse(make)
    x = torch.randn(4, 1, 28, 28)
    state = arranged(model.state_dict(), secateur.trace(model, PICTURE), ORDERS[order])
    assert any(not torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    other = make()
    other.load_state_dict(state)
    torch.testing.assert_close(other(x), model(x), rtol=1e-4, atol=1e-4)


def test_empty_units_are_silenced_and_say_the_same():
    model = sparse(lenet_300_100, keep=0.004)
    x = torch.randn(4, 1, 28, 28)
    small = silenced(model)
    torch.testing.assert_close(small(x), model(x), rtol=1e-4, atol=1e-4)
    made = small.get_submodule("fc1").weight.any(1)
    assert int((~made).sum()) > 0
    assert torch.equal(small.get_submodule("fc2").weight.any(0), made)


def test_a_narrow_network_in_full_shapes_says_the_same():
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))
    whole = nn.Sequential(nn.Flatten(), nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 10))
    x = torch.randn(4, 1, 28, 28)
    wanted = narrow(x)
    whole.load_state_dict(in_full(narrow.state_dict(), whole.state_dict()))
    torch.testing.assert_close(whole(x), wanted)


def test_the_papers_size_by_hand():
    """Survivors at places 1 and 10 with codes 1 and 2: two steps and, with 2 bits, two fillers for the nine zeros."""
    codes = torch.zeros(12, dtype=torch.int32)
    codes[1], codes[10] = 1, 2
    found = {"w": Quantized(codes, levels=torch.tensor([0.0, -1.0, 1.0]))}
    size = in_papers_format(found, {"w": torch.zeros(12), "b": torch.zeros(3)}, 2)
    assert 8 * size.fixed == 3 * 32 + 2 * 32 + 4 * (2 + 1)


def test_compensation_by_hand():
    """Two inputs that are nearly the same: what the first is rounded by, the second takes over."""
    gram = torch.tensor([[1.0, 0.99], [0.99, 1.0]]).double()
    found = compensated(torch.tensor([[0.4, 0.4]]), torch.ones(1, 1), gram, damping=1e-9)
    assert found.tolist() == [[0.0, 1.0]]  # rounded to the nearest both were 0; 0.4 + 0.99 * 0.4 is nearer to 1


def test_compensation_lowers_the_error_of_the_layer():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(500, 30, generator=random) @ torch.randn(30, 30, generator=random)
    weight = torch.randn(8, 30, generator=random)
    step = torch.full((8, 1), 0.5)
    near = (weight / step).round() * step
    found = compensated(weight, step, (x.T @ x).double() / 500)
    assert torch.equal((found / step).round(), found / step)
    assert ((found - weight) @ x.T).square().sum() < 0.5 * ((near - weight) @ x.T).square().sum()


def test_a_weight_on_its_grid_passes_gradients():
    grid = OnGrid(torch.tensor([[0.5], [0.25]]))
    place = torch.tensor([[0.7, 1.2], [2.6, -0.4]], requires_grad=True)
    found = grid(place)
    assert found.tolist() == [[0.5, 0.5], [0.75, 0.0]]
    found.sum().backward()
    assert place.grad.tolist() == [[0.5, 0.5], [0.25, 0.25]]
