"""Tensors that look like those of compressed networks, from a seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from secateur.bench.zoo.lenet import lenet5, lenet_300_100
from secateur.bench.zoo.mobilenet_v2 import MobileNetV2
from secateur.core.quantized import Quantized


def pruned(model: torch.nn.Module, keep: float, seed: int, *, levels: int = 4) -> dict[str, Tensor]:
    """The state of `model` with a share of all weights left, as sharp pruning leaves them.

    Rows and columns differ in strength (log-normal), pixels at the border of a picture matter little, and survivors of
    a tensor take `levels` values in pairs of signs. Biases are pruned with their rows.
    """
    random = np.random.default_rng(seed)
    found, scores = {}, {}
    for name, tensor in model.state_dict().items():
        rows, columns = tensor.shape[0], tensor[0].numel()
        strength = np.exp(0.8 * random.standard_normal((rows, 1)) + 1.0 * random.standard_normal((1, columns)))
        if columns == 784:
            y, x = np.mgrid[:28, :28] - 13.5
            strength = strength * np.exp(-(x**2 + y**2) / 98).reshape(1, -1)
        values = random.standard_normal((rows, columns))
        found[name], scores[name] = values, np.abs(values) * strength**0.5 * (rows * columns) ** -0.25
    limit = np.quantile(np.concatenate([s.ravel() for n, s in scores.items() if n.endswith("weight")]), 1 - keep)
    state = {}
    for name, tensor in model.state_dict().items():
        mask = scores[name] >= limit
        if name.endswith("bias"):
            mask = scores[name.removesuffix("bias") + "weight"].max(1, keepdims=True) >= limit
        kept = np.abs(found[name][mask])
        steps = np.quantile(kept, (np.arange(levels // 2) + 0.5) / (levels // 2)) * tensor.abs().mean().item()
        which = np.digitize(np.abs(found[name]), np.quantile(kept, np.arange(1, levels // 2) / (levels // 2)))
        values = np.where(mask, np.sign(found[name]) * steps[which], 0).astype(np.float32)
        state[name] = torch.from_numpy(values).reshape(tensor.shape)
    return state


def lenets() -> dict[str, dict[str, Tensor]]:
    """LeNets at several sparsities."""
    torch.manual_seed(0)
    cases = {}
    for name, make in (("LeNet-300-100", lenet_300_100), ("LeNet-5", lenet5)):
        for keep in (0.05, 0.02, 0.01, 0.005):
            cases[f"{name}, {keep:.1%} kept, 4 levels"] = pruned(make(), keep, 0)
    return cases


def mobilenets() -> dict[str, tuple[dict[str, Tensor], dict[str, Quantized]]]:
    """MobileNetV2: dense float32, dense int8 by channel, 80 % sparse float32, 80 % sparse int8."""
    torch.manual_seed(0)
    state = {n: t for n, t in MobileNetV2().state_dict().items() if t.ndim}
    random = np.random.default_rng(0)
    for name, tensor in state.items():
        if tensor.ndim > 1:  # fresh weights are uniform in places; trained ones are bell-shaped
            state[name] = torch.from_numpy(random.standard_t(5, tensor.shape).astype(np.float32)) * tensor.std()
    sparse = {n: torch.where(t.abs() >= t.abs().quantile(0.8), t, 0.0) if t.ndim > 1 else t for n, t in state.items()}
    return {
        "MobileNetV2, float32": (state, {}),
        "MobileNetV2, int8 by channel": (state, _int8(state)),
        "MobileNetV2, 80 % sparse float32": (sparse, {}),
        "MobileNetV2, 80 % sparse int8": (sparse, _int8(sparse)),
    }


def _int8(state: dict[str, Tensor]) -> dict[str, Quantized]:
    found = {}
    for name, tensor in state.items():
        if tensor.ndim > 1:
            scale = tensor.abs().amax(tuple(range(1, tensor.ndim))).clamp_min(1e-8) / 127
            codes = (tensor / scale.view(-1, *[1] * (tensor.ndim - 1))).round().int()
            found[name] = Quantized(codes, scale=scale, zero=torch.zeros_like(scale, dtype=torch.int32))
    return found
