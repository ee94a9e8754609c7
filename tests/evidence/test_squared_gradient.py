import torch
from torch import nn
from torch.nn import functional as F

from secateur.core.contracts import Step
from secateur.core.example import Example
from secateur.evidence import SquaredGradient, collect, cross_entropy
from secateur.graph.trace import trace
from secateur.testing import case as cases


def test_against_a_double_loop_with_uneven_batches():
    subject = cases.normed(3, 2)
    (x, y), second, third = subject.batches
    batches = [(x[:3], y[:3]), second, (torch.cat([x[3:], third[0]]), torch.cat([y[3:], third[1]]))]
    found = collect(subject.model, batches, [SquaredGradient], graph=subject.graph)[SquaredGradient]
    for name, values in double_loop(subject.model, batches).items():
        assert torch.allclose(found[name], values, rtol=1e-10, atol=1e-15)


def double_loop(model, batches):
    sums, samples = {n: torch.zeros(p.shape, dtype=p.dtype) for n, p in model.named_parameters()}, 0
    for x, y in batches:
        grads = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
        samples += len(x)
        for (n, p), g in zip(model.named_parameters(), grads, strict=True):
            for place in range(p.numel()):
                sums[n].view(-1)[place] += float(g.view(-1)[place]) ** 2 * len(x)
    return {n: s / samples for n, s in sums.items()}


def test_frozen_parameters_are_seen_too():
    """A network whose backbone was frozen for training can still be scored."""
    subject = cases.normed()
    subject.model.requires_grad_(False)
    found = subject.evidence([SquaredGradient])[SquaredGradient]
    assert all(float(v.sum()) > 0 for n, v in found.items() if n in ("0.weight", "7.weight"))
    assert not any(p.requires_grad for p in subject.model.parameters())


def test_unused_parameters_have_none():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.unused = nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(4, 4)

        def forward(self, x):
            return self.b(torch.relu(self.a(x)))

    model = Unused()
    x, y = torch.eye(2).repeat(2, 1) * torch.tensor([1, 1, -1, -1]).view(4, 1), torch.tensor([0, 1, 0, 1])
    found = collect(model, [(x, y)], [SquaredGradient], graph=trace(model, x))[SquaredGradient]
    assert not found["unused.weight"].any()
    assert found["a.weight"].any()


def test_integer_parameters_are_left_out():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    model.table = nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    x, y = torch.eye(2).repeat(2, 1) * torch.tensor([1, 1, -1, -1]).view(4, 1), torch.tensor([0, 1, 0, 1])
    found = collect(model, [(x, y)], [SquaredGradient], graph=trace(model, x))[SquaredGradient]
    assert not found["table"].any()
    assert found["0.weight"].any()


def test_gradients_of_small_half_precision_values_do_not_vanish():
    """Squares below float16's smallest number survive, since they are taken in float32."""
    one = SquaredGradient()
    model = nn.Linear(1, 1, bias=False).half()
    with one.start(model, None):
        one.update(
            Step({"weight": torch.full((1, 1), 1e-5, dtype=torch.float16)}, 1, Example.of(()), None, cross_entropy)
        )
    assert 0.9e-10 < float(one.result()["weight"]) < 1.1e-10
