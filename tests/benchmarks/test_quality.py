"""The benchmark of one-shot quality: cuts, keeps records, and writes tables that say what was found."""

import torch
from torch import nn

from benchmarks.quality.cutting import Method, cut_all
from benchmarks.quality.page import margins, page, table
from secateur.criteria import Magnitude, SparseGPT
from secateur.granularity import Channel
from secateur.repair import OBSUpdate, SparseGPTUpdate


def test_every_method_at_every_budget():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    before = [p.clone() for p in model.parameters()]
    data = [(torch.randn(16, 6), torch.randint(3, (16,))) for _ in range(3)]
    methods = [
        Method(name="magnitude", criterion=lambda _: Magnitude()),
        Method(name="channels", criterion=lambda _: Magnitude(), repair=(OBSUpdate(),), granularity=Channel()),
        Method(name="sparsegpt", criterion=lambda keep: SparseGPT(keep=keep), repair=(SparseGPTUpdate(),)),
    ]
    left = []
    found = list(
        cut_all(
            model, data[0][0], data, methods, (0.5, 0.25), lambda m: left.append(int((m[0].weight != 0).sum())) or 0.5
        )
    )
    assert [(f.method, f.keep) for f in found] == [(m.name, keep) for m in methods for keep in (0.5, 0.25)]
    assert left == [24, 12] * 3
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def record(method, keep, quality, seed=0, task="sentences"):
    return {"task": task, "seed": seed, "method": method, "keep": keep, "quality": quality, "seconds": 1.0}


def test_tables_hold_means_and_deviations():
    records = [record("a", 0.5, 0.5), record("a", 0.5, 0.7, 1), record("b", 0.5, 0.2), record("b 2:4", 1.0, 0.1)]
    assert table(records).splitlines() == [
        "| method | 2:4 | 0.5 | seconds |",
        "| --- | ---: | ---: | ---: |",
        "| b | 10.0 | 20.0 | 1.0 |",
        "| a | — | 60.0 ± 14.1 | 1.0 |",
    ]
    text = page([*records, record("dense", 1.0, 1.0)])
    assert "## Weights of a sentence encoder" in text and "Dense: 100.0; 1 seed." in text and "MobileNetV2" not in text


def test_margins_are_of_one_seed():
    """Differences 0.2 and 0.1: their mean is above their deviation; 0.0 and 0.01 are not; one seed has no deviation."""
    found = {"magnitude": (0.5, 0.7, 0.3), "random": (0.3, 0.6, 0.2), "wanda": (0.5, 0.71, None)}
    records = [
        {"method": name, "keep": 0.5, "seed": seed, "quality": quality}
        for name, qualities in found.items()
        for seed, quality in enumerate(qualities[:2])
        if quality is not None
    ]
    records += [{"method": name, "keep": 0.2, "seed": 2, "quality": q[2]} for name, q in found.items() if q[2]]
    lines = margins(records).splitlines()
    assert lines[0] == "| difference | 0.5 | 0.2 |"
    assert lines[2] == "| wanda − magnitude | 0.5 ± 0.7 | — |"  # noqa: RUF001
    assert lines[3] == "| magnitude − random | **15.0 ± 7.1** | 10.0 |"  # noqa: RUF001
    assert len(lines) == 4
