import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.measure import accuracy

# Ranking of classes: 2 1 0 | 0 1 2 | 1 2 0 | 0 2 1
SCORES = torch.tensor([[1.0, 2.0, 3.0], [9.0, 5.0, 1.0], [0.0, 2.0, 1.0], [5.0, 1.0, 2.0]])
TARGET = torch.tensor([2, 1, 0, 0])  # right at rank 1, 2, 3, 1


class Switch(nn.Module):
    """Right in eval mode only."""

    def forward(self, x):
        return -x if self.training else x


def test_by_hand():
    batches = [(SCORES[:3], TARGET[:3]), [SCORES[3:], TARGET[3:]]]  # of unequal size, and as a DataLoader gives them
    assert accuracy(Switch(), batches, k=(1, 2, 3)) == {"top1": 0.5, "top2": 0.75, "top3": 1.0}
    assert accuracy(Switch(), batches) == {"top1": 0.5, "top5": 1.0}


def test_mode_is_put_back():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    model[1].eval()
    before = model[1].running_mean.clone()
    accuracy(model, [(SCORES, TARGET)])
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert torch.equal(model[1].running_mean, before)
    assert all(p.grad is None for p in model.parameters())


def test_inputs_of_every_kind():
    class Adds(nn.Module):
        def forward(self, a, b):
            return {"logits": a + b}

    half = SCORES / 2
    for inputs in ((half, half), {"b": half, "a": half}):
        assert accuracy(Adds(), [(inputs, TARGET)], k=(1,)) == {"top1": 0.5}


def test_a_class_for_every_pixel():
    scores = SCORES.T.reshape(1, 3, 2, 2)
    assert accuracy(Switch(), [(scores, TARGET.reshape(1, 2, 2))], k=(1,)) == {"top1": 0.5}


@pytest.mark.parametrize(
    "batches",
    [
        [],
        [(SCORES, TARGET[:2])],
        [(SCORES, SCORES)],
        [(SCORES[0], TARGET)],
        [(SCORES, [2, 1, 0, 0])],
        [(SCORES, TARGET.float())],
    ],
)
def test_what_does_not_belong_together(batches):
    with pytest.raises(IncompatibleError):
        accuracy(Switch(), batches)
