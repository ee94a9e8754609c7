"""The page of LeNets from records made up here, moved images, and the loss under a teacher."""

from collections import OrderedDict
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.mnist import run
from benchmarks.mnist.data import Moved
from benchmarks.mnist.methods import ENTRIES, Narrow
from benchmarks.mnist.narrow import narrowed
from benchmarks.mnist.page import page
from benchmarks.mnist.teaching import Taught, taught
from secateur.bench.tasks.images import Batches, Split
from secateur.core.budget import Budget
from secateur.core.recipe import FineTune


def record(method, net, seed, error):
    return {"method": method, "net": net, "seed": seed, "dense error": 1.0, "error": error, "left": 4000 + seed,
            "factor": 66.5, "seconds": 90.0}  # fmt: skip


def split(n=8):
    return Split(torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(n))


def tens(n):
    return Split(split(n).images, split(n).labels % 10)


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(flat=nn.Flatten(), fc1=nn.Linear(784, 10), act=nn.ReLU(), fc2=nn.Linear(10, 10)))


def test_page():
    text = page([record("DNS", "lenet_300_100", s, 1.5 + s) for s in (0, 1)] + [record("ADMM", "lenet5", 0, 0.9)])
    rows = [line for line in text.splitlines() if line.startswith(("| DNS", "| ADMM"))]
    assert rows[0] == "| DNS | 2 | 1.00 ± 0.00 | 4,000 | 66.5 ± 0.0 x | 2.00 ± 0.71 | 56 x | 1.99 | 1.5 |"
    assert rows[1].endswith("| 0.90 | 71.2 x | no loss | 1.5 |")


def test_channels_have_a_table_of_their_own():
    row = record("SFP", "lenet5_channels", 0, 1.2) | {"macs": 0.25, "cost": 1.5}
    assert "| SFP | 1 | 1.00 | 0.250 | 4,000 | 1.20 | 1.50 x |" in page([row]).splitlines()
    assert "a quarter of the MACs" not in page([])


def test_a_share_is_moved():
    data = split()
    plain = {int(label): image for image, label in zip(data.images, data.labels, strict=True)}
    ((images, labels),) = Moved(data, 8, seed=0, share=0.5)
    same = [torch.equal(image, plain[int(label)]) for image, label in zip(images, labels, strict=True)]
    assert same == [False] * 4 + [True] * 4
    again, _ = next(iter(Moved(data, 8, seed=0, share=0.5)))
    assert torch.equal(images, again)


def test_taught():
    output = torch.randn(4, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(4)
    assert torch.equal(taught(output, labels), F.cross_entropy(output, labels))
    assert torch.allclose(taught(output, (labels, output)), 0.5 * F.cross_entropy(output, labels))
    teacher = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    images, (_, told) = next(iter(Taught(Batches(split(), 4, seed=0), teacher)))
    assert torch.equal(told, teacher(images)) and torch.is_grad_enabled()


def test_a_narrow_network_keeps_the_units_with_the_largest_weights():
    torch.manual_seed(0)
    whole = mlp()
    with torch.no_grad():
        whole.fc1.weight.mul_(0.1)
        whole.fc1.weight[[1, 3]] *= 20
    small = narrowed(whole, {"fc1": 2})
    assert torch.equal(small.fc1.weight, whole.fc1.weight[[1, 3]])
    assert torch.equal(small.fc1.bias, whole.fc1.bias[[1, 3]])
    assert torch.equal(small.fc2.weight, whole.fc2.weight[:, [1, 3]])
    assert torch.equal(small.fc2.bias, whole.fc2.bias)


def test_budgets_count_from_the_whole_network(tmp_path, monkeypatch):
    """7,960 parameters, 1/50 of them left after a step that leaves half of the hidden units: still 159."""
    monkeypatch.setattr(run, "OUT", tmp_path)
    monkeypatch.setattr(run, "splits", lambda choosing: (tens(256), tens(256)))
    monkeypatch.setattr(run, "network", lambda name, seed: mlp())
    monkeypatch.setitem(run.DENSE, "mlp", 1)
    own = ENTRIES["own"]
    recipe = replace(
        own.recipe["lenet5"], budget=Budget(1 / 50, "params"), sparsify=FineTune(epochs=20, optimizer="adam")
    )
    narrow = {"mlp": Narrow(units={"fc1": 5}, train=FineTune(epochs=1))}
    monkeypatch.setitem(ENTRIES, "own", replace(own, recipe={"mlp": recipe}, narrow=narrow))
    found = run.run("own", "mlp", 0)
    whole = sum(p.numel() for p in mlp().parameters())
    assert (whole, found["left"]) == (7_960, 159)
    assert found["factor"] == whole / 159
    sparse, dense = run.pruned("own", "mlp", 0)
    assert [[p.shape[0] for p in model.parameters()] for model in (sparse, dense)] == [[5, 5, 10, 10], [10, 10, 10, 10]]
    assert sum(int(p.count_nonzero()) for p in sparse.parameters()) == 159
