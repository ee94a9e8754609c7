"""Every twin that leaves dead entries out against the function itself on the live entries alone."""

import pytest
import torch
from torch.nn import functional as F

from secateur.apply.live_calls import make_live_
from secateur.apply.live_functions import HANDLERS, Live
from secateur.core.groups import LIVE_FUNCTIONS, LiveCall

ALIVE = torch.tensor([True, False, True, True, False, True])
CASES = [
    ("mean", 1, lambda x, n: x.mean(1)),
    ("mean", 1, lambda x, n: torch.mean(x, dim=(1, 2), keepdim=True)),
    ("mean", 1, lambda x, n: torch.mean(x)),
    ("mean", 1, lambda x, n: torch.mean(x, axis=-2)),
    ("sum", 1, lambda x, n: x.sum((0, 1))),
    ("sum", 1, lambda x, n: torch.sum(input=x, dim=1, keepdim=True)),
    ("var", 1, lambda x, n: x.var(1)),
    ("var", 1, lambda x, n: x.var(1, False, True)),
    ("var", 1, lambda x, n: torch.var(x, (1, 2), correction=0)),
    ("var", 1, lambda x, n: x.var(False)),
    ("std", 1, lambda x, n: x.std(1, unbiased=False, keepdim=True)),
    ("std", 1, lambda x, n: torch.std(x, [1], correction=2)),
    ("var_mean", 1, lambda x, n: torch.var_mean(x, 1)),
    ("std_mean", 1, lambda x, n: torch.std_mean(x, dim=[0, 1], unbiased=False)),
    ("amax", 1, lambda x, n: x.amax(1)),
    ("amin", 1, lambda x, n: torch.amin(x, (0, 1), True)),
    ("max", 1, lambda x, n: x.max(1)[0]),
    ("min", 1, lambda x, n: torch.min(x, dim=1, keepdim=True).values),
    ("softmax", 1, lambda x, n: (x.softmax(1) * x).sum(1)),
    ("softmax", 1, lambda x, n: (F.softmax(x, dim=1) * x).sum(1)),
    ("log_softmax", 1, lambda x, n: F.log_softmax(x, 1)),
    ("norm", 1, lambda x, n: x.norm(dim=1)),
    ("norm", 1, lambda x, n: torch.norm(x, 3, 1, True)),
    ("linalg_vector_norm", 1, lambda x, n: torch.linalg.vector_norm(x, 2, dim=(1, 2))),
    ("normalize", 1, lambda x, n: F.normalize(x)),
    ("layer_norm", 2, lambda x, n: F.layer_norm(x.transpose(1, 2), (n,), eps=0.1)),
    ("layer_norm", 1, lambda x, n: F.layer_norm(x, (n, 4))),
    ("rms_norm", 2, lambda x, n: F.rms_norm(x.transpose(1, 2), (n,))),
    ("rms_norm", 2, lambda x, n: F.rms_norm(x.transpose(1, 2), (n,), eps=0.1)),
    ("batch_norm", 2, lambda x, n: F.batch_norm(x.transpose(1, 2), None, None, training=True, momentum=0.0)),
]  # fmt: skip


class Holder(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x, x.shape[1])


def live(function, dim, number=0):
    call = LiveCall("", function, number, dim, 6, (("g", torch.arange(6)),))
    return {(function, number): (Live(call, ALIVE),)}


@pytest.mark.parametrize(("function", "dim", "compute"), CASES)
def test_as_without_the_dead(function, dim, compute):
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4, dtype=torch.float64)  # dead entries hold garbage, too
    model = Holder(compute)
    wanted = compute(x[:, ALIVE], 4)
    make_live_(model, live(function, dim))
    found = model(x)
    for a, b in zip(*(y if isinstance(y, tuple) else (y,) for y in (wanted, found)), strict=True):
        if b.shape != a.shape:  # the dim stays: dead entries are zero, live ones right
            at = next(d for d in range(a.ndim) if a.shape[d] != b.shape[d])
            assert not b.movedim(at, 0)[~ALIVE].any()
            torch.testing.assert_close(b.movedim(at, 0)[ALIVE].movedim(0, at), a, rtol=1e-12, atol=1e-12)
        else:
            torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-12)


def test_group_norm():
    torch.manual_seed(0)
    alive = torch.tensor([True, False, True, True, False, True])
    x, w, b = torch.randn(2, 6, 5, dtype=torch.float64), torch.randn(6).double(), torch.randn(6).double()
    call = LiveCall("", "group_norm", 0, 1, 6, (("g", torch.arange(6)),))
    found = HANDLERS["group_norm"]((Live(call, alive),), x, 2, w * alive, b * alive)
    wanted = F.group_norm(x[:, alive], 2, w[alive], b[alive])
    torch.testing.assert_close(found[:, alive], wanted, rtol=1e-12, atol=1e-12)
    assert not found[:, ~alive].any()


def test_every_function_has_a_twin():
    assert set(HANDLERS) == LIVE_FUNCTIONS


def test_only_the_numbered_call_is_replaced():
    model = Holder(lambda x, n: (x.mean(1), x.mean(1), x.mean(2)))
    x = torch.randn(3, 6, 4)
    make_live_(model, live("mean", 1, number=1))
    first, second, third = model(x)
    assert torch.equal(first, x.mean(1))
    torch.testing.assert_close(second, x[:, ALIVE].mean(1))
    assert torch.equal(third, x.mean(2))


def test_forwards_inside_each_other_count_alike():
    """The outer forward counts what the inner one calls, whether that is replaced or not."""
    inner = Holder(lambda x, n: x.mean(1))
    outer = Holder(lambda x, n: (x.mean(1), inner(x), x.mean(1)))
    make_live_(inner, live("mean", 1, 0))
    make_live_(outer, live("mean", 1, 2))
    x = torch.randn(3, 6, 4)
    plain, within, after = outer(x)
    assert torch.equal(plain, x.mean(1))
    torch.testing.assert_close(within, x[:, ALIVE].mean(1))
    torch.testing.assert_close(after, within)


def test_a_failing_forward_leaves_nothing_behind():
    def fail(x, n):
        raise ValueError

    model = Holder(fail)
    make_live_(model, live("mean", 1))
    with pytest.raises(ValueError):
        model(torch.zeros(3, 6, 4))
    x = torch.randn(3, 6, 4)
    assert torch.equal(x.mean(1), x.sum(1) / 6)


def test_gradients_as_without_the_dead():
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    small = x[:, ALIVE].clone().requires_grad_()
    large = x.clone().requires_grad_()
    F.layer_norm(small.transpose(1, 2), (4,)).pow(3).sum().backward()
    model = Holder(lambda x, n: F.layer_norm(x.transpose(1, 2), (n,)))
    make_live_(model, live("layer_norm", 2))
    model(large).pow(3).sum().backward()
    torch.testing.assert_close(large.grad[:, ALIVE], small.grad, rtol=1e-10, atol=1e-10)
    assert not large.grad[:, ~ALIVE].any()
