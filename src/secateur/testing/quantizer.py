"""The contract of quantizers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Quantizer
from secateur.core.errors import IncompatibleError
from secateur.core.quantized import Quantized
from secateur.core.rng import generator
from secateur.quantize import dequantize_, quantize, quantized_of
from secateur.quantize.weights import Train
from secateur.testing.criterion import check_docstring, check_value


class QuantizerContract:
    """What every quantizer promises. Subclass it, and parametrise `quantizer` or define it as a fixture."""

    def test_form(self, quantizer: Quantizer) -> None:
        """Codes in the shape of the weight that stand for finite float32 numbers; codes of a codebook are in it."""
        for weight in _weights():
            found = quantizer.quantize(weight)
            assert found.codes.dtype == torch.int32
            assert found.codes.shape == weight.shape
            assert found.values().shape == weight.shape
            assert found.values().dtype == torch.float32
            assert bool(torch.isfinite(found.values()).all())
            assert (found.levels is None) == (quantizer.bounds is not None)
            low, high = quantizer.bounds or (0, len(found.levels) - 1 if found.levels is not None else 0)
            assert low <= int(found.codes.min()) <= int(found.codes.max()) <= high

    def test_idempotent(self, quantizer: Quantizer) -> None:
        """What is quantized already stays as it is, up to rounding of the scale."""
        for weight in _weights():
            kept = weight != 0
            once = quantizer.quantize(weight, keep=kept).values()
            assert torch.allclose(quantizer.quantize(once, keep=kept).values(), once, rtol=1e-6, atol=0)

    def test_half_a_step(self, quantizer: Quantizer) -> None:
        """On a grid the error is at most half a step, inside of the range; beyond it, the last code is taken."""
        if quantizer.bounds is None:
            return
        for weight in _weights():
            found = quantizer.quantize(weight)
            assert found.scale is not None
            error = (found.values() - weight).abs()
            inside = (found.codes > quantizer.bounds[0]) & (found.codes < quantizer.bounds[1])
            assert bool((error <= 0.5001 * found.along(found.scale))[inside].all())

    def test_monotone(self, quantizer: Quantizer) -> None:
        """Of two entries that share levels, the larger one does not get the smaller value."""
        if not quantizer.monotone:
            return
        weight = _weights()[0].flatten()[:24].view(1, -1)
        found = quantizer.quantize(weight)
        # Values rise with weights in every row, and within groups where these have scales of their own.
        for part in _sharing(found, weight):
            order = part[0].argsort()
            assert bool((part[1][order].diff() >= 0).all())

    def test_pruned_stays_zero(self, quantizer: Quantizer) -> None:
        """A pruned entry has the value 0, whether it is 0 or a mask says so, and has no say in the rest."""
        weight = _weights()[0]
        keep = torch.rand(weight.shape, generator=generator(0, "keep")) < 0.5
        masked = quantizer.quantize(weight, keep=keep)
        assert bool((masked.values()[~keep] == 0).all())
        if masked.levels is not None:
            assert float(masked.levels[0]) == 0
            assert bool((masked.codes[~keep] == 0).all())
        for other in (quantizer.quantize(weight * keep), quantizer.quantize(weight * keep * 1.0, keep=keep)):
            assert torch.equal(other.values(), masked.values())
        junk = torch.where(keep, weight, 99.0)
        assert torch.equal(quantizer.quantize(junk, keep=keep).values(), masked.values())

    def test_nothing_stays(self, quantizer: Quantizer) -> None:
        """All-zero tensors and ones that are pruned as a whole come out as zeros."""
        assert not quantizer.quantize(torch.zeros(3, 2)).values().any()
        gone = quantizer.quantize(torch.ones(3, 2), keep=torch.zeros(3, 2, dtype=torch.bool))
        assert not gone.values().any()

    def test_refuses(self, quantizer: Quantizer) -> None:
        """No mask of another shape, no whole numbers, nothing that is not finite."""
        assert "shape" in _refusal(quantizer, torch.ones(3, 2), torch.ones(2, 3, dtype=torch.bool))
        for bad in (torch.ones(2, dtype=torch.int64), torch.tensor([1.0, torch.nan])):
            assert "finite floating-point" in _refusal(quantizer, bad)

    def test_reads_only_and_repeats(self, quantizer: Quantizer) -> None:
        """The weight is not written to, the global random state not used, and the answer always the same."""
        weight = _weights()[0].requires_grad_(True)
        before, state = weight.detach().clone(), torch.get_rng_state()
        first, second = (quantizer.quantize(weight) for _ in range(2))
        assert torch.equal(first.values(), second.values())
        assert torch.equal(first.codes, second.codes)
        assert torch.equal(weight, before)
        assert torch.equal(torch.get_rng_state(), state)
        assert not first.values().requires_grad

    def test_in_a_network(self, quantizer: Quantizer) -> None:
        """The network computes with exactly the values of the codes, trains so, and keeps them when baked in."""
        trains: tuple[Train, Train] = ("weights", "steps") if quantizer.bounds else ("levels", "weights")
        for train in trains:
            _check_in_a_network(quantizer, train)

    def test_value(self, quantizer: Quantizer) -> None:
        """A quantizer is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(quantizer)

    def test_docstring(self, quantizer: Quantizer) -> None:
        """The docstring states formula, shapes, cost and departures, and cites where a paper is named."""
        sections = ("Formula", "Shapes", "Cost", "Differs", "Example")
        check_docstring(type(quantizer), sections if quantizer.paper is None else ("Paper", *sections))
        assert quantizer.paper is None or quantizer.paper.cite()


def _check_in_a_network(quantizer: Quantizer, train: Train) -> None:
    plain = nn.Linear(6, 4)
    weight = _weights()[0].flatten()[:24].view(4, 6).clone()
    weight[0, :3] = 0
    with torch.no_grad():
        plain.weight.copy_(weight)
    model: Any = quantize(plain, quantizer, train=train)
    assert torch.equal(model.weight, quantized_of(model)["weight"].values())
    assert torch.equal(plain.weight, weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    start = model.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 6)).square().sum().backward()
        optimizer.step()
    now = quantized_of(model)["weight"].values()
    assert train == "weights" or not torch.equal(now, start)
    assert torch.equal(model.weight, now)
    assert not now[0, :3].any()
    dequantize_(model)
    assert torch.equal(model.weight, now)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert type(model) is nn.Linear


def _refusal(quantizer: Quantizer, weight: Tensor, keep: Tensor | None = None) -> str:
    try:
        quantizer.quantize(weight, keep=keep)
    except IncompatibleError as error:
        return str(error)
    return ""


def _weights() -> list[Tensor]:
    """Normal ones in two shapes, a lopsided one, one value, constants of both signs, fewer values than levels."""
    rng = generator(0, "weights")
    return [
        torch.randn(6, 4, 3, 3, generator=rng),
        torch.randn(7, 5, generator=rng),
        torch.rand(50, generator=rng) + 0.2,
        torch.tensor([-0.3]),
        torch.full((2, 3), -0.7),
        torch.full((2, 3), 1e-3),
        torch.tensor([[1.0, -2.0, 0.0], [1.0, 1.0, -2.0]]),
    ]


def _sharing(found: Quantized, weight: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights that stay and their values, in parts that share levels or a scale."""
    size = found.group or weight.shape[1]
    parts = zip(weight.split(size, 1), found.values().split(size, 1), strict=True)
    return [(w[w != 0], v[w != 0]) for w, v in parts]
