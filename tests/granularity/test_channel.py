import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.granularity import Channel
from secateur.graph.trace import trace


def graph():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    return trace(model, torch.zeros(1, 2, 4, 4))


def test_which_tensors_count():
    assert Channel().blocks(graph())[0].tensors == ("0.weight",)
    assert set(Channel(over="all").blocks(graph())[0].tensors) == {
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "4.weight",
    }


def test_reduce_by_hand():
    found = graph()
    block = Channel(over="all").blocks(found)[0]
    saliency = {
        "0.weight": torch.ones(4, 2, 3, 3) * torch.tensor([1.0, 2, 3, 4]).view(4, 1, 1, 1),
        "0.bias": torch.tensor([10.0, 20, 30, 40]),
        "1.weight": torch.tensor([100.0, 200, 300, 400]),
        "1.bias": torch.zeros(4),
        "4.weight": torch.ones(3, 16) * 1000,  # 3 outputs x 4 places for each channel
    }
    assert Channel(over="all").reduce(block, saliency).tolist() == [12000 + n * (18 + 10 + 100) for n in (1, 2, 3, 4)]
    assert Channel().reduce(Channel().blocks(found)[0], saliency).tolist() == [18, 36, 54, 72]


def test_expand_by_hand():
    found = graph()
    block = Channel().blocks(found)[0]
    masks = Channel().expand(found, block, torch.tensor([True, False, True, True]))
    assert set(masks) == {"0.weight", "0.bias", "1.weight", "1.bias", "4.weight"}
    assert masks["0.bias"].tolist() == [True, False, True, True]
    assert masks["0.weight"].all(3).all(2).all(1).tolist() == [True, False, True, True]
    assert masks["4.weight"][0].tolist() == [True] * 4 + [False] * 4 + [True] * 8


def test_scores_are_summed_in_double_precision():
    block = Channel().blocks(graph())[0]
    tenth = Channel().reduce(block, {"0.weight": torch.full((4, 2, 3, 3), 0.1)})
    assert tenth.dtype == torch.float64
    assert torch.allclose(tenth, torch.full((4,), 18 * float(torch.tensor(0.1)), dtype=torch.float64), rtol=1e-14)


def test_unknown_choice():
    with pytest.raises(IncompatibleError, match="over must be"):
        Channel(over="al")
