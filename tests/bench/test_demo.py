"""The demo on a sliver of its data: every step runs, every file appears, every number is there."""

import json
from dataclasses import replace

import torch

from secateur.bench import demo as module
from secateur.bench.tasks.images import Batches, Split
from secateur.bench.tasks.mnist import mnist


def test_mnist_is_whole():
    train, test = mnist(train=True), mnist(train=False)
    assert (train.images.shape, test.images.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert torch.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(float(train.images.mean())) < 1e-3
    assert abs(float(train.images.std()) - 1) < 1e-3


def test_batches_reshuffle_and_repeat():
    split = Split(torch.arange(10.0).view(10, 1), torch.arange(10))
    one, two = Batches(split, 4, seed=1), Batches(split, 4, seed=1)
    first, second = [[y.tolist() for _, y in one] for _ in range(2)]
    assert first != second
    assert first == [y.tolist() for _, y in two]
    assert len(first) == len(one) == 2
    assert [y.tolist() for _, y in Batches(split, 4, seed=None)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_demo(tmp_path, monkeypatch):
    def sliver(train):
        whole = mnist(train)
        return Split(whole.images[:1500], whole.labels[:1500])

    monkeypatch.setattr(module, "mnist", sliver)
    monkeypatch.setattr(module, "DENSE", replace(module.DENSE, epochs=2))
    seen = set()
    outcome = module.demo(tmp_path / "out", progress=lambda what, done, total: seen.add(what))
    report = outcome.report
    assert report.before.params == 431_080
    assert report.before.macs == 2_293_000
    assert 0.245 <= report.after.macs / report.before.macs <= 0.25
    assert report.equivalence < 1e-5
    assert outcome.onnx_difference < 1e-4
    assert set(report.controls) == {"random channels", "same shape, from scratch"}
    assert report.controls["same shape, from scratch"].params == report.after.params
    assert {x.runtime for x in report.after.latency} == {"torch", "onnxruntime"}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["after"]["params"] == report.after.params
    assert (tmp_path / "out" / "report.html").stat().st_size > 5000
    assert {"train dense", "collect", "fine-tune"} <= seen
