"""`secateur pack`, `inspect` and `unpack` as a user meets them."""

import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

import secateur
from secateur.bench.zoo.lenet import lenet5
from secateur.cli.app import run

MINE = """
import torch
from torch import nn

def make_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((p * 8).round() / 8 * (p.abs() > 0.15))
    return model

def example_inputs():
    return torch.zeros(1, 1, 4, 4)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(MINE)
    return tmp_path


def call(monkeypatch, *words):
    """Exit code of the command, as the shell would see it."""
    monkeypatch.setattr(sys, "argv", ["secateur", *words])
    with pytest.raises(SystemExit) as stop:
        run()
    return stop.value.code or 0


def test_there_and_back(folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    assert call(monkeypatch, "pack", "net.py:make_model", "net.sct") == 0
    packed = capsys.readouterr().out
    assert call(monkeypatch, "inspect", "net.sct") == 0
    assert capsys.readouterr().out == packed
    assert all(name in packed for name in ("1.weight", "3.bias", "mixed", "12x16", "names, shapes, seal"))
    assert call(monkeypatch, "unpack", "net.sct", "net.safetensors") == 0
    assert "4 tensors" in capsys.readouterr().out
    tensors = safetensors.torch.load_file("net.safetensors")
    found = secateur.unpack("net.sct")
    assert tensors.keys() == found.keys()
    assert all(torch.equal(tensors[name], found[name]) for name in found)


def test_shrunk_network_takes_its_plan_along(folder, monkeypatch):
    model = lenet5()
    plan = secateur.plan_by_hand(secateur.trace(model, torch.zeros(1, 1, 28, 28)), {"fc1": range(30)})
    secateur.save(secateur.shrink(model, plan), plan, "small.safetensors")
    assert call(monkeypatch, "pack", "zoo:lenet5", "small.sct", "--load", "small.safetensors") == 0
    assert secateur.unpack("small.sct", lenet5()).fc1.weight.shape == (30, 800)


def test_errors_are_one_clear_message(folder, monkeypatch, capsys):
    Path("bad.sct").write_bytes(b"SCT\1 no more")
    for words in (("inspect", "bad.sct"), ("unpack", "bad.sct", "out.safetensors"), ("inspect", "missing.sct")):
        assert call(monkeypatch, *words) == 1
        assert "CodecError" in capsys.readouterr().err
    assert not Path("out.safetensors").exists()


def test_too_many_entries(folder, monkeypatch, capsys):
    secateur.pack({"w": torch.zeros(4500, 1000)}, "zeros.sct")
    assert call(monkeypatch, "inspect", "zeros.sct") == 1
    assert "claims" in capsys.readouterr().err
    assert call(monkeypatch, "inspect", "zeros.sct", "--entries", "4500000") == 0


@pytest.mark.parametrize("verb", ["pack", "unpack", "inspect"])
def test_help_teaches(verb, monkeypatch, capsys):
    assert call(monkeypatch, verb, "--help") == 0
    assert "bit" in capsys.readouterr().out or verb == "inspect"
