"""Which parameters to scale so that an activation is scaled: the walk costs what tensors hold, not what they stand for."""

import torch
from torch import nn

from secateur.core.example import Example
from secateur.graph.homogeneous import scalable
from secateur.graph.record import record

BATCH, WIDTH = 2**16, 512


class Repeated(nn.Module):
    """A weight that is repeated for every example, as `linear` does with inputs that do not lie in one piece."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(WIDTH, WIDTH, device="meta"))

    def forward(self, x):
        repeated = self.weight.expand(BATCH, WIDTH, WIDTH)  # 2 ** 34 entries
        return torch.bmm(x, repeated.view(BATCH, WIDTH, WIDTH)) * 0.5


def test_a_weight_repeated_for_a_batch_takes_no_memory():
    recording = record(Repeated(), Example.of(torch.empty(BATCH, 1, WIDTH, device="meta")))
    assert recording.failure is None
    last = len(recording.calls) - 1
    assert recording.calls[last].name == "aten::mul"
    (found,) = scalable(recording, recording.calls[last].refs()[0], last)
    assert found.tensor == "weight"
    assert found.entries.tolist() == list(range(WIDTH))


class Part(nn.Module):
    """The weight is repeated, and half of its columns are asked for."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 8))

    def forward(self, x):
        return torch.bmm(x, self.weight.expand(5, 6, 8))[..., 4:] * 0.5


def test_half_of_a_repeated_weight():
    recording = record(Part(), Example.of(torch.randn(5, 3, 6)))
    last = len(recording.calls) - 1
    (found,) = scalable(recording, recording.calls[last].refs()[0], last)
    assert (found.tensor, found.dim, found.entries.tolist()) == ("weight", 1, [4, 5, 6, 7])


class Elsewhere(nn.Module):
    """One of the repetitions is read by somebody else, so the weight may not be scaled."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 8))

    def forward(self, x):
        repeated = self.weight.expand(5, 6, 8)
        return repeated[0] + 1.0, torch.bmm(x, repeated) * 0.5


def test_a_repetition_that_is_read_elsewhere():
    recording = record(Elsewhere(), Example.of(torch.randn(5, 3, 6)))
    last = len(recording.calls) - 1
    assert recording.calls[last].name == "aten::mul"
    assert scalable(recording, recording.calls[last].refs()[0], last) is None
