"""Which attempt to build a model is taken, and the sizes of small configurations."""

import json

import pytest
import torch
from torch import nn

from benchmarks.models.architectures import ARCHITECTURES, SMALL, fitting
from benchmarks.models.case import Attempt, Case, build, images
from benchmarks.models.zoos import names, smallest_of_timm


class Picky(nn.Module):
    """Needs pictures of a least size, and a larger one in training mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        if x.shape[-1] < (16 if self.training else 8):
            raise ValueError("too small")
        return self.conv(x)


def case(*sizes):
    return Case("zoo", "picky", tuple(Attempt(Picky, images(size), f"{size} px") for size in sizes))


def test_the_first_that_also_trains_is_taken():
    assert build(case(4, 8, 16, 32)).note == "16 px"


def test_the_first_that_runs_at_all_where_none_trains():
    assert build(case(4, 8, 12)).note == "8 px"


def test_the_last_complaint_where_none_runs():
    with pytest.raises(ValueError, match="too small"):
        build(case(2, 4))


def test_the_model_is_fresh_and_the_same_every_time():
    first, second = build(case(4, 16)), build(case(4, 16))
    assert torch.equal(first.model.conv.weight, second.model.conv.weight)
    assert first.model.training
    assert torch.equal(first.draw(3), second.draw(3)) and not torch.equal(first.draw(3), first.draw(4))
    assert first.draw(0).shape == (2, 3, 16, 16)


def test_a_configuration_gets_the_sizes_that_it_stores():
    assert fitting(["hidden_size", "n_embd", "colour"], renamed=["hidden_size"]) == {"n_embd": SMALL["n_embd"]}


def test_the_table_of_architectures():
    assert len(ARCHITECTURES) >= 90
    assert all(name == a.name for name, a in ARCHITECTURES.items())
    assert {"bert", "llama", "t5", "swin", "wav2vec2", "mixtral", "mixtral+eager", "mamba"} <= set(ARCHITECTURES)


def test_the_list_of_timm_is_made_once(tmp_path):
    (tmp_path / "timm.json").write_text(json.dumps({"resnet": ["test_resnet", 469688], "vgg": ["vgg11", 132863336]}))
    assert smallest_of_timm(tmp_path / "timm.json") == {"resnet": ("test_resnet", 469688), "vgg": ("vgg11", 132863336)}
    assert names("timm", tmp_path) == ["test_resnet", "vgg11"]
