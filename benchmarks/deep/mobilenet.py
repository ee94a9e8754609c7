"""MobileNetV2 with ImageNet weights in an eighth of its bytes: even grids, entropy coded, taught by the dense one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2, sqrt
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

import secateur
from benchmarks.quality import photos as subject
from secateur.core.copying import copied
from secateur.core.quantized import Quantized
from secateur.core.rng import generator
from secateur.quantize import fold_norms

OUT = Path("out/deep")
#: Entropy of a normal distribution of deviation 1, in steps of s, is log2(this / s) bits.
_NORMAL = 4.1327


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How it is made small.

    Attributes:
        bits: per weight that steps are chosen for, as if weights were normal; files come out smaller.
        crops: that errors are compensated on.
        probes: crops that sensitivities are measured on.
        rounds: of teaching, each with so many crops at a time.
        batch: crops in one round.
        lr: in steps of the grid.
        seed: draws the crops.
    """

    bits: float = 3.88
    crops: int = 256
    probes: int = 32
    rounds: int = 80
    batch: int = 32
    lr: float = 0.02
    seed: int = 0


class OnGrid(nn.Module):
    """A weight that is kept in steps of its grid, and rounded in every pass; gradients pass as if it were not."""

    step: Tensor

    def __init__(self, step: Tensor) -> None:
        super().__init__()
        self.register_buffer("step", step)

    def forward(self, place: Tensor) -> Tensor:
        """The rounded weight."""
        return (place + (place.detach().round() - place.detach())) * self.step

    def right_inverse(self, weight: Tensor) -> Tensor:
        """In steps."""
        return weight / self.step


def pool(*, choosing: bool) -> tuple[Any, list[Any], list[Any]]:
    """The photos' module, photos to learn from, and photos that judge: a sixth of the former while choosing."""
    module, _, _ = subject.pictures()
    found = module.split(module.photos())
    if not choosing:
        return module, list(found.calibration), list(found.held_out)
    every = list(found.calibration)
    scenes = sorted({p.scene or p.name for p in every})
    mine = set(scenes[::6])
    return (
        module,
        [p for p in every if (p.scene or p.name) not in mine],
        [p for p in every if (p.scene or p.name) in mine],
    )


def rows(how: Settings, *, choosing: bool = False) -> Iterator[dict[str, Any]]:
    """Rounded, compensated, taught: bytes and agreement of each."""
    start = process_time()
    module, learn, judge = pool(choosing=choosing)
    _, dense, _ = subject.pictures()
    exam = module.batch(judge)
    teacher = fold_norms(dense, exam[:1])
    drawn = generator(how.seed, "deep crops")
    crops = module.random_crops(learn, how.crops, drawn)
    with torch.no_grad():
        wanted = torch.cat([teacher(part) for part in exam.split(32)])
    steps = _steps(teacher, crops[: how.probes], how)
    student = copied(teacher)
    for name, layer in _layers(student).items():
        layer.weight.data = (layer.weight / steps[name]).round() * steps[name]
    yield {"row": "rounded", **_judged(student, steps, teacher, exam, wanted), "seconds": process_time() - start}
    student = copied(teacher)
    grams = _grams(teacher, crops)
    for name, layer in _layers(student).items():
        layer.weight.data = (
            compensated(layer.weight.data, steps[name], grams[name])
            if name in grams
            else (layer.weight / steps[name]).round() * steps[name]
        )
    yield {
        "row": "errors compensated",
        **_judged(student, steps, teacher, exam, wanted),
        "seconds": process_time() - start,
    }
    _teach_(student, teacher, steps, how, lambda: module.random_crops(learn, how.batch, drawn))
    yield {"row": "taught", **_judged(student, steps, teacher, exam, wanted), "seconds": process_time() - start}


def _layers(model: nn.Module) -> dict[str, Any]:
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def _steps(model: nn.Module, crops: Tensor, how: Settings) -> dict[str, Tensor]:
    """Steps of all grids, in proportion to each channel's deviation, finer where a layer matters more.

    With an error s_l k_l^2 from layer l of n_l weights at relative step k_l, and log2(1 / k_l) bits for each of them,
    the least error for all bits together has k_l^2 in proportion to n_l / s_l.
    """
    deviations = {
        n: m.weight.detach().flatten(1).square().mean(1).sqrt().clamp_min(1e-6) for n, m in _layers(model).items()
    }
    with torch.no_grad():
        wanted = model(crops)
    student, sensitivity = copied(model), {}
    probe = _NORMAL / 2**5
    for name, layer in _layers(student).items():
        weight = layer.weight.data
        step = (deviations[name] * probe).view(-1, *[1] * (weight.ndim - 1))
        layer.weight.data = (weight / step).round() * step
        with torch.no_grad():
            sensitivity[name] = float((student(crops) - wanted).square().mean())
        layer.weight.data = weight
    sizes = {n: m.weight.numel() for n, m in _layers(model).items()}
    relative = {n: sqrt(sizes[n] / (sensitivity[n] + 1e-9)) for n in sizes}
    mean = sum(sizes[n] * log2(_NORMAL / relative[n]) for n in sizes) / sum(sizes.values())
    shift = 2 ** (mean - how.bits)
    out = {}
    for name, layer in _layers(model).items():
        step = deviations[name] * min(relative[name] * shift, 1.2)
        out[name] = _coarse(step).view(-1, *[1] * (layer.weight.ndim - 1))
    return out


def _coarse(x: Tensor) -> Tensor:
    """Rounded to a quarter of a power of two, so that steps need a byte each."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp((mantissa * 8).round() / 8, exponent)


def _grams(model: nn.Module, crops: Tensor) -> dict[str, Tensor]:
    """Second moments of the inputs of linear layers and of convolutions of one pixel, float64."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name, layer in _layers(model).items():
        if isinstance(layer, nn.Linear) or layer.kernel_size == (1, 1):

            def note(_: Any, args: Any, out: Any, name: str = name) -> None:
                x = args[0]
                x = x.permute(0, 2, 3, 1).flatten(0, 2) if x.ndim == 4 else x
                found[name] = found.get(name, 0) + (x.T @ x).double() / len(x)

            hooks.append(layer.register_forward_hook(note))
    with torch.no_grad():
        for part in crops.split(32):
            model(part)
    for hook in hooks:
        hook.remove()
    return found


def compensated(weight: Tensor, step: Tensor, gram: Tensor, damping: float = 0.01) -> Tensor:
    """Weights on the grid, column by column, those to the right making up for the error so far.

    Frantar, Ashkboos, Hoefler and Alistarh, *GPTQ*, ICLR 2023, Algorithm 1: with U^T U = H^-1, U upper triangular, and
    e = (w_c - round(w_c)) / U_cc, w_j -= e U_cj for j > c; columns with large diagonals first.
    """
    w = weight.flatten(1).double()
    order = gram.diagonal().argsort(descending=True)
    w, h = w[:, order], gram[order][:, order].clone()
    h.diagonal().add_(damping * h.diagonal().mean())
    upper = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    grid, block = step.double().view(-1), 64
    for start in range(0, w.shape[1], block):
        stop = min(start + block, w.shape[1])
        errors = []
        for c in range(start, stop):
            now = (w[:, c] / grid).round() * grid
            errors.append((w[:, c] - now) / upper[c, c])
            w[:, c + 1 : stop] -= errors[-1][:, None] * upper[c, c + 1 : stop]
            w[:, c] = now
        w[:, stop:] -= torch.stack(errors, 1) @ upper[start:stop, stop:]
    out = torch.empty_like(w)
    out[:, order] = w
    return out.view(weight.shape).to(weight.dtype)


def _teach_(student: nn.Module, teacher: nn.Module, steps: Mapping[str, Tensor], how: Settings, crops: Any) -> None:
    """Train places on the grids and biases, so that logits are the teacher's."""
    student.to(memory_format=torch.channels_last)
    layers = _layers(student)
    for name, layer in layers.items():
        parametrize.register_parametrization(layer, "weight", OnGrid(steps[name]))
    places = [layer.parametrizations.weight.original for layer in layers.values()]
    biases = [layer.bias for layer in layers.values()]
    groups = [{"params": places, "lr": how.lr}, {"params": biases, "lr": 1e-3}]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    rates = [group["lr"] for group in groups]
    for number in range(how.rounds):
        share = min((number + 1) / (0.1 * how.rounds), 1) * (1 - number / how.rounds)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * share
        x = crops().contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            wanted = teacher(x)
        found = student(x)
        loss = apart(found, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number % 20 == 0:
            print("taught", number, round(loss.item(), 4), flush=True)
    for layer in layers.values():
        parametrize.remove_parametrizations(layer, "weight")


def apart(found: Tensor, wanted: Tensor) -> Tensor:
    """Relative distance of logits, and their divergence."""
    a, b = (x - x.mean(1, keepdim=True) for x in (found, wanted))
    kl = F.kl_div(F.log_softmax(found, 1), F.log_softmax(wanted, 1), log_target=True, reduction="batchmean")
    return (a - b).square().sum() / b.square().sum() + kl


def _judged(
    student: nn.Module, steps: Mapping[str, Tensor], teacher: nn.Module, exam: Tensor, wanted: Tensor
) -> dict[str, float]:
    """What comes out of the file."""
    OUT.mkdir(parents=True, exist_ok=True)
    codes = {}
    for name, layer in _layers(student).items():
        step = steps[name].flatten().clone()
        codes[f"{name}.weight"] = Quantized(
            codes=(layer.weight.detach() / steps[name]).round().to(torch.int32).contiguous(),
            scale=step,
            zero=torch.zeros(len(step), dtype=torch.int32),
            dim=0,
        )
    state = {
        n: t.half().float().contiguous() if n.endswith("bias") else t.contiguous()
        for n, t in student.state_dict().items()
    }
    file = secateur.pack(state, OUT / "mobilenet_v2.sct", quantized=codes)
    decoded = copied(teacher)
    decoded.load_state_dict(secateur.unpack(file.path))
    with torch.no_grad():
        found = torch.cat([decoded(part) for part in exam.split(32)])
    same = float((found.argmax(1) == wanted.argmax(1)).double().mean())
    z, w = (x - x.mean(1, keepdim=True) for x in (found, wanted))
    dense = 4 * 3_504_872
    return {
        "bytes": file.bytes,
        "factor": dense / file.bytes,
        "bits": 8
        * sum(t.bytes for t in file.tensors if t.name in codes)
        / sum(q.codes.numel() for q in codes.values()),
        "ideal": sum(t.ideal for t in file.tensors),
        "agreement": 100 * same,
        "stderr": 100 * sqrt(same * (1 - same) / len(exam)),
        "logit error": float((z - w).norm() / (w - w.mean(0)).norm()),
        "photos": len(exam),
    }
