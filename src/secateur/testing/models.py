"""Tiny networks, each with a known right answer: which channels may be cut, how many units they have, what is pinned.

Together they hold one example of every way in which channels hang together. The system contracts run on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.apply.verify import strengthen_
from secateur.bench.zoo.resnet import BasicBlock
from secateur.bench.zoo.vit import Attention as PackedAttention
from secateur.bench.zoo.vit import Block
from secateur.core.example import Example
from secateur.core.rng import generator


@dataclass(frozen=True, slots=True, eq=False)
class Tiny:
    """A network with a known right answer.

    Attributes:
        make: builds it, in training mode, with whatever weights PyTorch draws.
        example: builds example inputs in float64, batch 2.
        groups: the groups that may be cut, with their units.
        pinned: groups that may not be cut, each with a text that the reason must contain.
        note: what it is an example of.
        blocks: the modules that may be taken out as a whole.
    """

    make: Callable[[], nn.Module]
    example: Callable[[], Any]
    groups: Mapping[str, int]
    pinned: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    blocks: tuple[str, ...] = ()

    def build(self) -> nn.Module:
        """The network in eval mode and float64 with strong weights, the same on every call."""
        with torch.random.fork_rng(devices=[]):
            return strengthen_(self.make()).eval()

    def inputs(self, seed: int = 0) -> Example:
        """Random inputs of the example's shapes."""
        example = Example.of(self.example())
        return Example.from_spec(example.spec(), generator(seed, "inputs"))


def floats(*shape: int) -> Callable[[], Tensor]:
    """Makes a normal float64 tensor."""
    return lambda: torch.randn(shape, generator=generator(0, "example"), dtype=torch.float64)


def tokens(*shape: int, below: int) -> Callable[[], Tensor]:
    """Makes token numbers, the largest allowed one among them."""

    def make() -> Tensor:
        numbers = torch.randint(below, shape, generator=generator(0, "tokens"))
        numbers.view(-1)[0] = below - 1
        return numbers

    return make


def _chain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Sigmoid(), nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3))


class Residual(nn.Module):
    """A stem and a block whose shortcut is projected, then one with an identity shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, padding=1)
        self.first = nn.Conv2d(5, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.project = nn.Conv2d(5, 8, 1)
        self.inner = nn.Conv2d(8, 7, 3, padding=1)
        self.outer = nn.Conv2d(7, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 3)`."""
        x = self.stem(x).relu()
        x = (self.second(self.norm(self.first(x)).relu()) + self.project(x)).relu()
        x = x + self.outer(F.silu(self.inner(x)))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Dense(nn.Module):
    """Every layer reads the outputs of all layers before it, laid side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 5, 3, padding=1)
        self.join = nn.BatchNorm2d(9)
        self.c = nn.Conv2d(9, 6, 1)
        self.head = nn.Conv2d(15, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 2, H, W)`."""
        a = self.a(x)
        b = self.b(self.norm(a).sigmoid())
        ab = torch.cat([a, b], 1)
        c = self.c(F.gelu(self.join(ab)))
        out: Tensor = self.head(torch.cat([ab, c], 1))
        return out


class Gate(nn.Module):
    """One linear layer makes values and gates; a chunk takes them apart (as in GLU and its kin)."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = nn.Linear(5, 12)
        self.back = nn.Linear(6, 4)
        self.glu = nn.Linear(4, 10)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 5)` to `(B, 3)`."""
        value, gate = self.pair(x).chunk(2, dim=-1)
        x = self.back(value * F.silu(gate))
        out: Tensor = self.head(F.glu(self.glu(x)))
        return out


class Split(nn.Module):
    """A split whose two halves go different ways, with the width read off the tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.left = nn.Conv2d(4, 5, 3, padding=1)
        self.head = nn.Conv2d(9, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 2, H, W)`."""
        x = self.stem(x)
        a, b = x.split(x.shape[1] // 2, dim=1)
        out: Tensor = self.head(torch.cat([self.left(a).sigmoid(), b], 1))
        return out


def _grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, groups=2),
        nn.BatchNorm2d(12),
        nn.Sigmoid(),
        nn.Conv2d(12, 3, 1),
    )


def _depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 1),
        nn.BatchNorm2d(6),
        nn.ReLU6(),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Hardswish(),
        nn.Conv2d(6, 3, 1),
    )


def _multiplier() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 5, 1), nn.Tanh(), nn.Conv2d(5, 10, 3, groups=5), nn.BatchNorm2d(10), nn.ReLU(), nn.Conv2d(10, 3, 1)
    )


def _transposed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 2, stride=2), nn.BatchNorm2d(4), nn.Sigmoid(),
        nn.ConvTranspose2d(4, 8, 3, groups=2), nn.ELU(), nn.ConvTranspose2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 1),
    )  # fmt: skip


def _flatten() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3)
    )


def _pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.GELU(),
        nn.AdaptiveAvgPool2d((2, 1)),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(10, 3),
    )


class SqueezeExcite(nn.Module):
    """Channels are weighted by a gate computed from their means."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 2, H', W')`."""
        x = F.silu(self.stem(x))
        gate = self.excite(self.squeeze(F.adaptive_avg_pool2d(x, 1)).relu()).sigmoid()
        out: Tensor = self.head(x * gate)
        return out


class Shared(nn.Module):
    """One layer is called twice, so what it reads and what it writes are the same channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.twice = nn.Linear(6, 6)
        self.inner = nn.Linear(6, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 4)` to `(B, 3)`."""
        x = self.stem(x).tanh()
        x = self.twice(self.twice(x).sigmoid())
        out: Tensor = self.head(self.inner(x).relu())
        return out


class TiedEmbedding(nn.Module):
    """The output projection is the embedding itself: its columns both make and consume the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.norm = nn.LayerNorm(6)
        self.up = nn.Linear(6, 9)
        self.down = nn.Linear(9, 6)
        self.head = nn.Linear(6, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        """`(B, T)` token numbers to `(B, T, 7)`."""
        x = self.embed(ids)
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        out: Tensor = self.head(x)
        return out


def _group_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 6, 1), nn.GroupNorm(1, 6), nn.Sigmoid(),
        nn.Conv2d(6, 5, 1), nn.GroupNorm(5, 5), nn.ReLU(), nn.Conv2d(5, 2, 1),
    )  # fmt: skip


class NormedMLP(nn.Module):
    """Pre-norm residual stream of a transformer, without attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 8)
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8, bias=False)])
        self.ups = nn.ModuleList([nn.Linear(8, 10), nn.Linear(8, 12)])
        self.downs = nn.ModuleList([nn.Linear(10, 8), nn.Linear(12, 8)])
        self.last = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, 4)` to `(B, T, 3)`."""
        x = self.embed(x)
        for norm, up, down in zip(self.norms, self.ups, self.downs, strict=True):
            x = x + down(F.gelu(up(norm(x))))
        out: Tensor = self.head(self.last(x))
        return out


class Attention(nn.Module):
    """Multi-head self-attention with separate projections and stored sizes."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, width // heads
        self.scale = self.head_dim**-0.5
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, width)` to the same shape."""
        q, k, v = (self._heads(layer(x)) for layer in (self.q, self.k, self.v))
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        out: Tensor = self.proj((weights @ v).transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, self.head_dim).transpose(1, 2)


class FusedAttention(nn.Module):
    """Attention by PyTorch's fused operator, whose temperature is computed from the width of a head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, width)` to the same shape."""
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class Transformer(nn.Module):
    """Class token, positions, one pre-norm block, head."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 12)
        self.token = nn.Parameter(torch.zeros(1, 1, 12))
        self.positions = nn.Parameter(torch.zeros(1, 5, 12))
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(12), nn.LayerNorm(12), nn.LayerNorm(12)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(12, 10), nn.GELU(), nn.Linear(10, 12))
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 4, 5)` to `(B, 3)`."""
        x = self.embed(x)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        out: Tensor = self.head(self.norm3(x)[:, 0])
        return out


def _encoder_layer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 10, batch_first=True, dropout=0.0)
    return nn.Sequential(nn.Linear(5, 8), layer, nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


def _instance_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.InstanceNorm2d(6, affine=True),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3),
        nn.InstanceNorm2d(5),
        nn.Sigmoid(),
        nn.Conv2d(5, 4, 1),
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        nn.Conv2d(4, 2, 1),
    )


def _prelu() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.PReLU(6), nn.Conv2d(6, 5, 3), nn.PReLU(), nn.Conv2d(5, 2, 1))


class ChannelShuffle(nn.Module):
    """Grouped convolution, shuffle by reshape, grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.first = nn.Conv2d(8, 8, 3, groups=2, padding=1)
        self.second = nn.Conv2d(8, 6, 3, groups=2, padding=1)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 2, H, W)`."""
        x = self.first(self.stem(x)).relu()
        batch, width, high, wide = x.shape
        x = x.view(batch, 2, width // 2, high, wide).transpose(1, 2).reshape(batch, width, high, wide)
        out: Tensor = self.head(self.second(x).sigmoid())
        return out


def _pixel_shuffle() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 20, 3), nn.PixelShuffle(2), nn.Sigmoid(), nn.Conv2d(5, 4, 1),
        nn.PixelUnshuffle(2), nn.Conv2d(16, 2, 1),
    )  # fmt: skip


class DeadBranch(nn.Module):
    """A layer that the forward pass never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 6)
        self.never = nn.Linear(6, 5)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 4)` to `(B, 3)`."""
        out: Tensor = self.head(self.up(x).sigmoid())
        return out


class Unknown(nn.Module):
    """A running maximum along the channels, for which there is no rule."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(4, 6)
        self.mixed = nn.Linear(6, 8)
        self.after = nn.Linear(8, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 4)` to `(B, 3)`."""
        x = self.mixed(self.before(x).relu())
        x = x.cummax(-1).values
        out: Tensor = self.head(self.after(x).sigmoid())
        return out


class Literal(nn.Module):
    """A reshape with a size written into the code, which no cut can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.up = nn.Linear(32, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, 5, 5)` to `(B, 3)`."""
        out: Tensor = self.head(self.up(self.stem(x).relu().view(-1, 32)).relu())
        return out


class ManyInputs(nn.Module):
    """Two inputs, one optional, by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 6, 3)
        self.words = nn.Embedding(9, 6)
        self.mix = nn.Linear(6, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, image: Tensor, words: Tensor, scale: float = 1.0, bias: Tensor | None = None) -> Tensor:
        """Image `(B, 3, H, W)` and words `(B, T)` to `(B, 3)`."""
        x = self.image(image).mean((2, 3)) + self.words(words).mean(1) * scale
        x = self.mix(x.tanh()).sigmoid()
        out: Tensor = self.head(x)
        return out if bias is None else out + bias


class ManyOutputs(nn.Module):
    """A tuple with a dict in it; every tensor in there is an output, the hidden one too."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.shown = nn.Linear(6, 5)
        self.second = nn.Linear(5, 7)
        self.heads = nn.ModuleDict({"a": nn.Linear(7, 3), "b": nn.Linear(7, 2)})

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """`(B, 4)` to the hidden state and a dict of two results."""
        hidden = self.shown(self.first(x).relu())
        x = self.second(hidden).sigmoid()
        return hidden, {name: head(x) for name, head in self.heads.items()}


class InPlace(nn.Module):
    """Writes into views and through `.data`, as older code does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.shift = nn.Parameter(torch.zeros(6))
        self.act = nn.ReLU(inplace=True)
        self.next = nn.Conv2d(6, 5, 3)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 2)`."""
        x = self.stem(x)
        flat = x.flatten(2)
        flat.add_(self.shift.view(1, -1, 1))
        x *= 2
        x = self.act(x)
        x = F.conv2d(x, self.next.weight.data, self.next.bias)
        out: Tensor = self.head(x.sigmoid_().mean((2, 3)))
        return out


def _residual_blocks() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Sequential(BasicBlock(6, 6, 1), BasicBlock(6, 6, 1)),
        nn.Sequential(BasicBlock(6, 8, 2), BasicBlock(8, 8, 1)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


class PreNormBlocks(nn.Module):
    """Transformer blocks, one of them PyTorch's own, and a residual multi-layer perceptron in a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        own = nn.TransformerEncoderLayer(8, 2, 10, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.Sequential(Block(8, 2, 10), nn.Dropout(0.1), own)
        self.last = ResidualMLP(8, 12)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, 5)` to `(B, 3)`."""
        out: Tensor = self.head(self.last(self.blocks(self.embed(x))).mean(1))
        return out


class ResidualMLP(nn.Module):
    """Two linear layers and a scale, added to the input."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """`(.., width)` to the same shape."""
        out: Tensor = x + self.scale * self.down(self.up(x).sigmoid())
        return out


class Recurrent(nn.Module):
    """An encoder of two layers in two directions, and a decoder unrolled by hand into a tensor of its own making."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.encoder = nn.LSTM(6, 3, num_layers=2, bidirectional=True)
        self.decoder = nn.GRUCell(6, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        """`(T, B)` to `(T, B, 4)`."""
        read, _ = self.encoder(self.embed(tokens))
        state = read.new_zeros(read.shape[1], self.decoder.hidden_size)
        states = torch.zeros(*read.shape[:2], state.shape[1], dtype=read.dtype, device=read.device)
        for number, step in enumerate(read):
            state = self.decoder(step, state)
            states[number] = state
        out: Tensor = self.head(states)
        return out


_IMAGE = floats(2, 3, 6, 6)
_MET = "meets a dim that cannot be cut"
_OUT = "is an output of the model"

#: Every tiny network by name.
TINY: Mapping[str, Tiny] = {
    "chain": Tiny(
        _chain, _IMAGE, {"0": 6}, {"0.inputs": "an input of the model", "3": _OUT}, "convolution, norm, convolution"
    ),
    "mlp": Tiny(_mlp, floats(2, 5), {"0": 8, "2": 6}, {"4": _OUT}, "activations that do not keep zero"),
    "residual": Tiny(
        Residual,
        _IMAGE,
        {"stem": 5, "first": 6, "second": 8, "inner": 7},
        {"head": _OUT},
        "a stream shared by both sides of a sum",
    ),
    "dense": Tiny(Dense, _IMAGE, {"a": 4, "b": 5, "c": 6}, {"head": _OUT}, "concatenation: consumers at an offset"),
    "gate": Tiny(
        Gate, floats(2, 5), {"pair": 6, "back": 4, "glu": 5}, {"head": _OUT}, "value and gate halves go together"
    ),
    "split": Tiny(Split, _IMAGE, {"stem": 4, "left": 5}, {"head": _OUT}, "halves of a split stay equally wide"),
    "grouped": Tiny(_grouped, _IMAGE, {"0": 4, "2": 6}, {"5": _OUT}, "groups of a convolution stay equally wide"),
    "depthwise": Tiny(_depthwise, _IMAGE, {"0": 6}, {"5": _OUT}, "in and out channels are one group"),
    "multiplier": Tiny(_multiplier, _IMAGE, {"0": 5}, {"5": _OUT}, "depthwise with two outputs a channel"),
    "transposed": Tiny(
        _transposed, _IMAGE, {"0": 6, "2": 2, "5": 4}, {"8": _OUT}, "weights laid out the other way round"
    ),
    "flatten": Tiny(_flatten, _IMAGE, {"0": 4, "4": 6}, {"6": _OUT}, "one channel is four columns"),
    "pooled": Tiny(_pooled, _IMAGE, {"0": 5}, {"6": _OUT}, "one channel is two columns; dropout"),
    "squeeze_excite": Tiny(
        SqueezeExcite, _IMAGE, {"stem": 8, "squeeze": 4}, {"head": _OUT}, "channels times their gates"
    ),
    "shared": Tiny(Shared, floats(2, 4), {"stem": 6, "inner": 5}, {"head": _OUT}, "a layer called twice"),
    "tied": Tiny(
        TiedEmbedding,
        tokens(2, 5, below=7),
        {"down": 6, "up": 9},
        {"embed": "by number"},
        "one parameter under two names",
    ),
    "group_norm": Tiny(
        _group_norm, _IMAGE, {"0": 4, "3": 6, "6": 5}, {"9": _OUT}, "statistics over some, all, single channels"
    ),
    "normed_mlp": Tiny(
        NormedMLP,
        floats(2, 3, 4),
        {"embed": 8, "ups.0": 10, "ups.1": 12},
        {"head": _OUT},
        "layer norm over the stream that is cut",
    ),
    "attention": Tiny(
        lambda: Transformer(Attention(12, 3)),
        floats(2, 4, 5),
        {"embed": 12, "attention.q": 4, "mlp.0": 10},
        {"head": _OUT, "positions": _MET},
        "one head_dim for three projections",
    ),
    "packed_attention": Tiny(
        lambda: Transformer(PackedAttention(12, 3)),
        floats(2, 4, 5),
        {"embed": 12, "attention.qkv": 4, "mlp.0": 10},
        {"head": _OUT},
        "queries, keys and values in one projection",
    ),
    "fused_attention": Tiny(
        lambda: Transformer(FusedAttention(12, 3)),
        floats(2, 4, 5),
        {"embed": 12, "attention.qkv": 4, "mlp.0": 10},
        note="a temperature that would change with the head width",
    ),
    "encoder_layer": Tiny(
        _encoder_layer,
        floats(2, 4, 5),
        {"0": 4, "1.linear1": 10, "2": 6},
        {"4": _OUT},
        "PyTorch's own attention: one width for the embedding and all heads",
    ),
    "instance_norm": Tiny(
        _instance_norm, _IMAGE, {"0": 6, "3": 5, "6": 4}, {"8": _OUT}, "batch norm over batch times channels"
    ),
    "prelu": Tiny(_prelu, _IMAGE, {"0": 6, "2": 5}, {"4": _OUT}, "one slope a channel"),
    "channel_shuffle": Tiny(
        ChannelShuffle, _IMAGE, {"stem": 4, "first": 2, "second": 3}, {"head": _OUT}, "reshape, swap, reshape"
    ),
    "pixel_shuffle": Tiny(_pixel_shuffle, _IMAGE, {"0": 6, "2": 5, "5": 4}, {"7": _OUT}, "four channels become one"),
    "dead_branch": Tiny(DeadBranch, floats(2, 4), {"up": 6}, {"never": "is not used"}, "a layer never called"),
    "unknown": Tiny(
        Unknown,
        floats(2, 4),
        {"before": 6, "after": 5},
        {"mixed": "operator aten.cummax"},
        "an operator without a rule",
    ),
    "literal": Tiny(
        Literal, floats(2, 3, 5, 5), {"up": 6}, {"stem": "operator aten.view"}, "a size written into the code"
    ),
    "many_inputs": Tiny(
        ManyInputs,
        lambda: {"image": _IMAGE(), "words": tokens(2, 4, below=9)(), "scale": 0.5, "bias": None},
        {"image": 6, "mix": 5},
        {"words": "by number", "head": _OUT},
        "keyword arguments, numbers and None among them",
    ),
    "many_outputs": Tiny(
        ManyOutputs,
        floats(2, 4),
        {"first": 6, "second": 7},
        {"shown": _OUT, "heads.a": _OUT, "heads.b": _OUT},
        "tuple and dict",
    ),
    "in_place": Tiny(
        InPlace, _IMAGE, {"stem": 6, "next": 5}, {"head": _OUT}, "writes into views, weights through .data"
    ),
    "residual_blocks": Tiny(
        _residual_blocks,
        floats(2, 3, 8, 8),
        {"0": 6, "2.0.conv1": 6, "2.1.conv1": 6, "3.0.conv1": 8, "3.0.conv2": 8, "3.1.conv1": 8},
        {"6": _OUT},
        "two stages of residual blocks, a ReLU behind every sum; the one that projects its shortcut must stay",
        ("2.0", "2.1", "3.1"),
    ),
    "pre_norm_blocks": Tiny(
        PreNormBlocks,
        floats(2, 4, 5),
        {"embed": 4, "blocks.0.attention.qkv": 4, "blocks.0.mlp.0": 10, "blocks.2.linear1": 10, "last.up": 12},
        {"head": _OUT},
        "residual blocks that nothing follows but the next one",
        ("blocks.0", "blocks.2", "last"),
    ),
    "recurrent": Tiny(
        Recurrent,
        tokens(4, 2, below=7),
        {"embed#2": 6, "encoder.weight_hh_l0": 3, "decoder.weight_hh": 5},
        {"embed": "by number", "head": _OUT},
        "gates, two directions, and steps written into zeros",
    ),
}
