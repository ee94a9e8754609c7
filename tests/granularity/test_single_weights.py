import torch
from torch import nn

from secateur.granularity import Weight
from secateur.graph.trace import trace


def test_weights_that_multiply_and_add():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    found = trace(model, torch.zeros(1, 2, 4, 4))
    blocks = {b.name: b for b in Weight().blocks(found)}
    assert {n: b.units for n, b in blocks.items()} == {"0.weight": 72, "4.weight": 48}
    values = torch.arange(48.0).view(3, 16)
    assert Weight().reduce(blocks["4.weight"], {"4.weight": values}).tolist() == list(range(48))
    keep = torch.arange(48) % 2 == 0
    assert torch.equal(Weight().expand(found, blocks["4.weight"], keep)["4.weight"], keep.view(3, 16))
