"""Every registered operator rule meets its contract on a small network around the operator."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.graph.rules import RULES
from secateur.testing import OperatorCase, OperatorContract

aten = torch.ops.aten

#: Rules that no network on this machine can call, and why.
NO_CASE = {
    "aten::cudnn_batch_norm": "needs a GPU of NVIDIA's",
    "aten::cudnn_grid_sampler": "needs a GPU of NVIDIA's",
}

#: Rules of operators that PyTorch takes apart before anybody sees them; they are there for whoever calls them whole.
TAKEN_APART = {
    "aten::adaptive_avg_pool1d", "aten::adaptive_max_pool1d", "aten::avg_pool1d", "aten::chunk", "aten::max_pool1d",
    "aten::movedim", "aten::narrow", "aten::reshape",
}  # fmt: skip


def floats(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def inputs_of(*shapes):
    return lambda: tuple(floats(*shape) for shape in shapes)


def vec(operator, run, after=6, pinned=None, groups=None, **extra):
    """`(B, 4)`, six neurons, the operator, and a layer that reads what comes out."""
    return around(operator, run, nn.Linear, {"a": (4, 6), "b": (after, 3)}, (2, 4), pinned, groups, extra)


def tok(operator, run, after=6, pinned=None, groups=None, **extra):
    """The same on `(B, 5, 4)`."""
    return around(operator, run, nn.Linear, {"a": (4, 6), "b": (after, 3)}, (2, 5, 4), pinned, groups, extra)


def img(operator, run, after=6, pinned=None, groups=None, **extra):
    """Images `(B, 3, 8, 8)`, six filters, the operator, and a convolution that reads what comes out."""
    return around(operator, run, nn.Conv2d, {"a": (3, 6, 1), "b": (after, 2, 1)}, (2, 3, 8, 8), pinned, groups, extra)


def line(operator, run):
    return around(operator, run, nn.Conv1d, {"a": (3, 6, 1), "b": (6, 2, 1)}, (2, 3, 8), None, None, {})


def vol(operator, run):
    return around(operator, run, nn.Conv3d, {"a": (3, 6, 1), "b": (6, 2, 1)}, (2, 3, 4, 4, 4), None, None, {})


def around(operator, run, kind, sizes, shape, pinned, groups, extra):
    def layers():
        return {n: kind(*size) for n, size in sizes.items()} | {n: make() for n, make in extra.items()}

    def function(net, x):
        return net.b(run(net, net.a(x)))

    return OperatorCase(operator, function, layers, inputs_of(shape), pinned or {}, groups or {})


def weight(*shape):
    return lambda: nn.Parameter(torch.zeros(shape))


def numbers(x):
    """Truth values and positions as numbers."""
    return x.to(torch.float64)


def gated(value, gate):
    return value * gate.sigmoid()


def first(x, count):
    """Positions 0 to `count - 1` for every sample, `(B, count, 1)`."""
    return torch.arange(count).view(1, -1, 1).repeat(x.shape[0], 1, 1)


def bags(mode, frozen=False):
    def run(net, x):
        return net.b(net.a((x.sum(-1) > 0).long()))

    def layers():
        return {"a": nn.EmbeddingBag(2, 6, mode=mode).requires_grad_(not frozen), "b": nn.Linear(6, 3)}

    operator = "aten::_embedding_bag_forward_only" if frozen else "aten::_embedding_bag"
    return OperatorCase(operator, run, layers, inputs_of((2, 5, 4)), {"a": "looks rows up by number"}, {"a#2": 6})


class Adjacency(nn.Module):
    """A graph of five nodes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("edges", (torch.eye(5).roll(1, 0) + torch.eye(5)).double().to_sparse())

    def forward(self, h):
        return torch.stack([torch.sparse.mm(self.edges, one) for one in h])


def table(net, x):
    return net.b(net.a((x.sum(-1) > 0).long()))


WIDE = {"a": 6}

POINTWISE = [
    vec("aten::copy", lambda m, h: torch.empty_like(h).copy_(h), groups=WIDE),
    vec("aten::clone", lambda m, h: h.clone(), groups=WIDE),
    vec("aten::_to_copy", lambda m, h: h.to(torch.float64, copy=True), groups=WIDE),
    vec("aten::lift_fresh", lambda m, h: h * torch.tensor(2.0), groups=WIDE),
    vec("aten::lift_fresh_copy", lambda m, h: aten.lift_fresh_copy(h), groups=WIDE),
    vec("aten::native_dropout", lambda m, h: torch.native_dropout(h, 0.0, True)[0], groups=WIDE),
    vec("aten::_prelu_kernel", lambda m, h: F.prelu(h, m.slope), slope=weight(6), groups=WIDE),
    vec("aten::log_sigmoid_forward", lambda m, h: F.logsigmoid(h), groups=WIDE),
    vec("aten::fill", lambda m, h: h + torch.empty_like(h).fill_(2.0), groups=WIDE),
    vec("aten::zero", lambda m, h: h + torch.empty_like(h).zero_(), groups=WIDE),
    vec("aten::hardswish", lambda m, h: F.hardswish(h), groups=WIDE),
]

PRODUCTS = [
    vec("aten::mm", lambda m, h: torch.mm(h, m.w), 5, w=weight(6, 5), groups={"a": 6, "w": 5}),
    vec("aten::addmm", lambda m, h: torch.addmm(m.v, h, m.w), 5, v=weight(5), w=weight(6, 5), groups={"a": 6, "w": 5}),
    tok("aten::bmm", lambda m, h: torch.bmm(h, m.q(h).transpose(1, 2)) @ h, q=lambda: nn.Linear(6, 6, bias=False)),
    tok(
        "aten::baddbmm",
        lambda m, h: torch.baddbmm(m.v, h, m.w.expand(h.shape[0], -1, -1)), 7, v=weight(7), w=weight(6, 7),
        groups={"a": 6, "w": 7},
    ),
    OperatorCase(
        "aten::_grouped_mm",
        lambda m, x: m.b(aten._grouped_mm(m.a(x), m.w, torch.tensor([4, 4, len(x)], dtype=torch.int32))),
        lambda: {"a": nn.Linear(4, 24), "w": nn.Parameter(torch.zeros(3, 24, 16)), "b": nn.Linear(16, 3)},
        inputs_of((9, 4)), pinned={"w": "experts are told apart"}, groups={"a": 24, "w#2": 16}, dtype=torch.float32,
    ),
]  # fmt: skip

CONVOLUTIONS = [
    img("aten::convolution", lambda m, h: m.c(h), 5, c=lambda: nn.Conv2d(6, 5, 3), groups={"a": 6, "c": 5}),
    img("aten::convolution", lambda m, h: m.c(h), 6, c=lambda: nn.Conv2d(6, 6, 3, groups=6), groups={"a": 6}),
    img("aten::convolution", lambda m, h: m.c(h), 12, c=lambda: nn.Conv2d(6, 12, 3, groups=6), groups={"a": 6}),
    img("aten::convolution", lambda m, h: m.c(h), 8, c=lambda: nn.Conv2d(6, 8, 3, groups=2), groups={"a": 3, "c": 4}),
    img("aten::convolution", lambda m, h: m.c(h), 5, c=lambda: nn.ConvTranspose2d(6, 5, 3), groups={"a": 6, "c": 5}),
    img(
        "aten::convolution", lambda m, h: m.c(h), 8, c=lambda: nn.ConvTranspose2d(6, 8, 3, groups=2),
        groups={"a": 3, "c": 4},
    ),
    line("aten::convolution", lambda m, h: h.relu()),
    vol("aten::convolution", lambda m, h: h.relu()),
]  # fmt: skip

CREATION = [
    vec("aten::zeros_like", lambda m, h: h + torch.zeros_like(h), groups=WIDE),
    vec("aten::ones_like", lambda m, h: h + torch.ones_like(h), groups=WIDE),
    vec("aten::full_like", lambda m, h: h + torch.full_like(h, 3.0), groups=WIDE),
    vec("aten::empty_like", lambda m, h: h + torch.empty_like(h).fill_(1.0), groups=WIDE),
    vec("aten::bernoulli", lambda m, h: h + torch.empty_like(h).bernoulli_(1.0), groups=WIDE),
    vec("aten::uniform", lambda m, h: h + torch.empty_like(h).uniform_(2.0, 2.0), groups=WIDE),
    vec("aten::normal", lambda m, h: h + torch.empty_like(h).normal_(2.0, 0.0), groups=WIDE),
    vec("aten::new_zeros", lambda m, h: h + h.new_zeros(1), groups=WIDE),
    vec("aten::new_ones", lambda m, h: h + h.new_ones(1), groups=WIDE),
    vec("aten::new_full", lambda m, h: h + h.new_full((1,), 2.0), groups=WIDE),
    vec("aten::new_empty", lambda m, h: h + h.new_empty(1).fill_(2.0), groups=WIDE),
    vec("aten::new_empty_strided", lambda m, h: h + h.new_empty_strided((1,), (1,)).fill_(2.0), groups=WIDE),
]

TABLES = [
    OperatorCase(
        "aten::embedding",
        table,
        lambda: {"a": nn.Embedding(2, 6), "b": nn.Linear(6, 3)},
        inputs_of((2, 5, 4)),
        {"a": "looks rows up by number"},
        {"a#2": 6},
    ),
    *(bags(mode) for mode in ("sum", "mean", "max")),
    bags("sum", frozen=True),
]

GRAPHS = [
    tok("aten::_sparse_addmm", lambda m, h: m.g(h.relu()), groups=WIDE, g=Adjacency),
]

JOINING = [
    vec("aten::cat", lambda m, h: torch.cat([h, m.c(h).sigmoid()], 1), 11, c=lambda: nn.Linear(6, 5), groups={"a": 6, "c": 5}),
    vec("aten::stack", lambda m, h: torch.stack([h, m.c(h)], 1), c=lambda: nn.Linear(6, 6), groups={"a": 6}),
]  # fmt: skip

MOVEMENT = [
    img("aten::view", lambda m, h: h.view(h.shape[0], -1, 4, 16), groups=WIDE),
    tok("aten::_unsafe_view", lambda m, h: torch.matmul(h, m.w), 5, w=weight(6, 5), groups={"a": 6, "w": 5}),
    img("aten::permute", lambda m, h: h.permute(0, 1, 3, 2), groups=WIDE),
    img("aten::transpose", lambda m, h: h.transpose(2, 3), groups=WIDE),
    vec("aten::t", lambda m, h: h.t().t(), groups=WIDE),
    vec("aten::squeeze", lambda m, h: h.unsqueeze(1).squeeze(1), groups=WIDE),
    vec("aten::unsqueeze", lambda m, h: h.unsqueeze(1), groups=WIDE),
    vec("aten::alias", lambda m, h: aten.alias(h), groups=WIDE),
    vec("aten::detach", lambda m, h: h.detach(), groups=WIDE),
    img("aten::pixel_shuffle", lambda m, h: F.pixel_shuffle(m.c(h), 2), 5, c=lambda: nn.Conv2d(6, 20, 1), groups={"a": 6, "c": 5}),
    img("aten::pixel_unshuffle", lambda m, h: F.pixel_unshuffle(h, 2), 24, groups=WIDE),
    img("aten::channel_shuffle", lambda m, h: aten.channel_shuffle(h, 2), groups={"a": 3}),
    tok("aten::flip", lambda m, h: h.flip(1), groups=WIDE),
    vec("aten::expand", lambda m, h: h.unsqueeze(1).expand(-1, 3, -1), groups=WIDE),
    vec("aten::repeat", lambda m, h: h.repeat(2, 1), groups=WIDE),
    tok("aten::constant_pad_nd", lambda m, h: F.pad(h, (1, 2, 1, 0)), 9, groups=WIDE),
    line("aten::reflection_pad1d", lambda m, h: F.pad(h, (1, 2), "reflect")),
    img("aten::reflection_pad2d", lambda m, h: F.pad(h, (1, 2, 1, 0), "reflect"), groups=WIDE),
    line("aten::replication_pad1d", lambda m, h: F.pad(h, (1, 2), "replicate")),
    img("aten::replication_pad2d", lambda m, h: F.pad(h, (1, 2, 1, 0), "replicate"), groups=WIDE),
    vec("aten::slice", lambda m, h: h[:, : h.shape[1] // 2].sigmoid() * h[:, h.shape[1] // 2 :], 3, groups={"a": 3}),
    tok("aten::slice", lambda m, h: h[:, 1:3], groups=WIDE),
    vec("aten::slice", lambda m, h: h[:, ::2] * h[:, 1::2].sigmoid(), 3, groups={"a": 3}),
    vec("aten::split", lambda m, h: gated(*h.split(h.shape[1] // 2, 1)), 3, groups={"a": 3}),
    tok("aten::split_with_sizes", lambda m, h: h.split([2, 3], 1)[1], groups=WIDE),
    vec("aten::unsafe_split", lambda m, h: gated(*torch.unsafe_split(h, h.shape[1] // 2, 1)), 3, groups={"a": 3}),
    tok("aten::unsafe_split_with_sizes", lambda m, h: torch.unsafe_split_with_sizes(h, [2, 3], 1)[1], groups=WIDE),
    tok("aten::select", lambda m, h: h[:, 1], groups=WIDE),
    vec("aten::select", lambda m, h: h + h[:, 2:3] + h[:, 3].unsqueeze(1), pinned={"a": "by its position"}),
    tok("aten::unbind", lambda m, h: h.unbind(1)[2], groups=WIDE),
    tok("aten::roll", lambda m, h: h.roll(1, 1), groups=WIDE),
    tok("aten::unfold", lambda m, h: h.unfold(1, 2, 1).sum(-1), groups=WIDE),
    tok("aten::index", lambda m, h: h[:, torch.tensor([2, 0])], groups=WIDE),
    tok("aten::index_select", lambda m, h: h.index_select(1, torch.tensor([2, 0])), groups=WIDE),
    tok("aten::gather", lambda m, h: h.gather(1, h.argsort(1)), groups=WIDE),
    tok("aten::gather", lambda m, h: h.gather(1, first(h, 2).expand(-1, -1, h.shape[2])), groups=WIDE),
    vec("aten::glu", lambda m, h: F.glu(h, 1), 3, groups={"a": 3}),
]  # fmt: skip

BATCH = {name: weight(6) for name in ("w", "v")} | {"n": lambda: nn.BatchNorm2d(6)}
NORMS = [
    img("aten::native_batch_norm", lambda m, h: m.n(h), n=lambda: nn.BatchNorm2d(6), groups=WIDE),
    img(
        "aten::_native_batch_norm_legit",
        lambda m, h: aten._native_batch_norm_legit(
            h, m.w, m.v, m.n.running_mean, m.n.running_var, False, 0.1, 1e-5
        )[0]
        + m.n(h),
        **BATCH, groups=WIDE,
    ),
    img(
        "aten::_native_batch_norm_legit_no_training",
        lambda m, h: aten._native_batch_norm_legit_no_training(
            h, m.w, m.v, m.n.running_mean, m.n.running_var, 0.1, 1e-5
        )[0]
        + m.n(h),
        **BATCH, groups=WIDE,
    ),
    tok("aten::native_layer_norm", lambda m, h: m.n(h), n=lambda: nn.LayerNorm(6), groups=WIDE),
    img("aten::native_group_norm", lambda m, h: m.n(h), n=lambda: nn.GroupNorm(2, 6), groups={"a": 3}),
    img("aten::native_group_norm", lambda m, h: m.n(h), n=lambda: nn.GroupNorm(6, 6), groups=WIDE),
]  # fmt: skip

POOLING = [
    img("aten::avg_pool2d", lambda m, h: F.avg_pool2d(h, 2), groups=WIDE),
    vol("aten::avg_pool3d", lambda m, h: F.avg_pool3d(h, 2)),
    img("aten::_adaptive_avg_pool2d", lambda m, h: F.adaptive_avg_pool2d(h, 3), groups=WIDE),
    vol("aten::_adaptive_avg_pool3d", lambda m, h: F.adaptive_avg_pool3d(h, 3)),
    img("aten::adaptive_max_pool2d", lambda m, h: F.adaptive_max_pool2d(h, 3), groups=WIDE),
    vol("aten::adaptive_max_pool3d", lambda m, h: F.adaptive_max_pool3d(h, 3)),
    img("aten::max_pool2d_with_indices", lambda m, h: F.max_pool2d(h, 2), groups=WIDE),
    vol("aten::max_pool3d_with_indices", lambda m, h: F.max_pool3d(h, 2)),
    line("aten::upsample_nearest1d", lambda m, h: F.interpolate(h, 12)),
    img("aten::upsample_nearest2d", lambda m, h: F.interpolate(h, 12), groups=WIDE),
    vol("aten::upsample_nearest3d", lambda m, h: F.interpolate(h, 6)),
    img("aten::_upsample_nearest_exact2d", lambda m, h: F.interpolate(h, 12, mode="nearest-exact"), groups=WIDE),
    line("aten::_upsample_nearest_exact1d", lambda m, h: F.interpolate(h, 12, mode="nearest-exact")),
    vol("aten::_upsample_nearest_exact3d", lambda m, h: F.interpolate(h, 6, mode="nearest-exact")),
    vol("aten::upsample_trilinear3d", lambda m, h: F.interpolate(h, 6, mode="trilinear")),
    line("aten::upsample_linear1d", lambda m, h: F.interpolate(h, 12, mode="linear")),
    img("aten::upsample_bilinear2d", lambda m, h: F.interpolate(h, 12, mode="bilinear"), groups=WIDE),
    img("aten::_upsample_bilinear2d_aa", lambda m, h: F.interpolate(h, 5, mode="bilinear", antialias=True), groups=WIDE),
    img("aten::upsample_bicubic2d", lambda m, h: F.interpolate(h, 12, mode="bicubic"), groups=WIDE),
    img("aten::_upsample_bicubic2d_aa", lambda m, h: F.interpolate(h, 5, mode="bicubic", antialias=True), groups=WIDE),
]  # fmt: skip

OVER = "computes over it: operator aten."
REDUCTIONS = [
    tok("aten::sum", lambda m, h: h.sum(1), groups=WIDE),
    tok("aten::sum", lambda m, h: h * h.sum(-1, keepdim=True).tanh(), groups=WIDE),
    tok("aten::linalg_vector_norm", lambda m, h: torch.linalg.vector_norm(h, 2, 1), groups=WIDE),
    tok("aten::linalg_vector_norm", lambda m, h: h / torch.linalg.vector_norm(h, 2, -1, keepdim=True), groups=WIDE),
    tok("aten::norm", lambda m, h: aten.norm(h, 2, [1]), groups=WIDE),
    tok("aten::mean", lambda m, h: h.mean(1), groups=WIDE),
    tok("aten::mean", lambda m, h: h - h.mean(-1, keepdim=True), groups=WIDE),
    tok("aten::var", lambda m, h: h.var(1), groups=WIDE),
    tok("aten::var", lambda m, h: h * h.var(-1, keepdim=True, unbiased=False), groups=WIDE),
    tok("aten::std", lambda m, h: h.std(1), groups=WIDE),
    tok("aten::var_mean", lambda m, h: torch.var_mean(h, 1)[0], groups=WIDE),
    tok("aten::std_mean", lambda m, h: torch.std_mean(h, 1)[1], groups=WIDE),
    tok("aten::amax", lambda m, h: h.amax(1), groups=WIDE),
    tok("aten::amax", lambda m, h: h - h.amax(-1, keepdim=True), groups=WIDE),
    tok("aten::amin", lambda m, h: h.amin(1), groups=WIDE),
    tok("aten::max", lambda m, h: h.max(1)[0], groups=WIDE),
    tok("aten::min", lambda m, h: h.min(1)[0], groups=WIDE),
    tok("aten::_softmax", lambda m, h: h.softmax(1), groups=WIDE),
    tok("aten::_softmax", lambda m, h: h.softmax(-1), groups=WIDE),
    tok("aten::_log_softmax", lambda m, h: h.log_softmax(1), groups=WIDE),
    tok("aten::_log_softmax", lambda m, h: h.log_softmax(-1), groups=WIDE),
    tok("aten::prod", lambda m, h: h.prod(1), groups=WIDE),
    tok("aten::prod", lambda m, h: h * h.prod(-1, keepdim=True), pinned={"a": OVER + "prod"}),
    tok("aten::cumsum", lambda m, h: h.cumsum(1), groups=WIDE),
    tok("aten::argmax", lambda m, h: numbers(h.argmax(1)), groups=WIDE),
    tok("aten::argmin", lambda m, h: numbers(h.argmin(1)), groups=WIDE),
    tok("aten::_safe_softmax", lambda m, h: aten._safe_softmax(h, 1), groups=WIDE),
    tok("aten::logsumexp", lambda m, h: h.logsumexp(1), groups=WIDE),
    tok("aten::logsumexp", lambda m, h: h - h.logsumexp(-1, keepdim=True), pinned={"a": OVER + "logsumexp"}),
    tok("aten::sort", lambda m, h: h.sort(1)[0], groups=WIDE),
    tok("aten::topk", lambda m, h: h.topk(2, 1)[0], groups=WIDE),
    tok("aten::any", lambda m, h: numbers((h > 1).any(1)), groups=WIDE),
    tok("aten::all", lambda m, h: numbers((h > -3).all(1)), groups=WIDE),
]


def packed(m, h):
    lengths = torch.tensor([5, 3, 2])[: h.shape[0]]
    out, _ = m.r(nn.utils.rnn.pack_padded_sequence(h, lengths, batch_first=True))
    return nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0]


def patches(m, h):
    return F.fold(F.unfold(h, 2, stride=2) * 2, h.shape[2:], 2, stride=2)


def sampled(m, h):
    grid = torch.linspace(-1, 1, 4, dtype=h.dtype)
    at = torch.stack(torch.meshgrid(*[grid] * (h.ndim - 2), indexing="ij"), -1)
    return F.grid_sample(h, at.expand(h.shape[0], *at.shape), align_corners=False)


def unpooled(pool, unpool):
    def run(m, h):
        out, at = pool(h, 2, return_indices=True)
        return unpool(out, at, 2)

    return run


def into(m, h):
    return h.index_put((torch.arange(h.shape[0]),), h.relu(), accumulate=True)


def normed():
    return nn.utils.weight_norm(nn.Linear(6, 5))


RECURRENT = [
    tok(
        "aten::lstm",
        lambda m, h: m.r(h)[0],
        5,
        r=lambda: nn.LSTM(6, 5, batch_first=True),
        groups={"a": 6, "r.weight_hh_l0": 5},
    ),
    tok(
        "aten::gru",
        lambda m, h: m.r(h)[0],
        5,
        r=lambda: nn.GRU(6, 5, batch_first=True),
        groups={"a": 6, "r.weight_hh_l0": 5},
    ),
    tok("aten::rnn_tanh", lambda m, h: m.r(h)[0], 5, r=lambda: nn.RNN(6, 5, batch_first=True)),
    tok("aten::rnn_relu", lambda m, h: m.r(h)[0], 5, r=lambda: nn.RNN(6, 5, nonlinearity="relu", batch_first=True)),
    vec("aten::lstm_cell", lambda m, h: m.r(h)[0], 5, r=lambda: nn.LSTMCell(6, 5), groups={"a": 6, "r.weight_hh": 5}),
    vec("aten::gru_cell", lambda m, h: m.r(h), 5, r=lambda: nn.GRUCell(6, 5), groups={"a": 6, "r.weight_hh": 5}),
    vec("aten::rnn_tanh_cell", lambda m, h: m.r(h), 5, r=lambda: nn.RNNCell(6, 5)),
    vec("aten::rnn_relu_cell", lambda m, h: m.r(h), 5, r=lambda: nn.RNNCell(6, 5, nonlinearity="relu")),
    tok("aten::_pack_padded_sequence", packed, 5, r=lambda: nn.GRU(6, 5, batch_first=True)),
    tok("aten::_pad_packed_sequence", packed, 5, r=lambda: nn.GRU(6, 5, batch_first=True)),
]


FURTHER = [
    vec("aten::zeros", lambda m, h: h + torch.zeros(h.shape, dtype=h.dtype), groups=WIDE),
    vec("aten::ones", lambda m, h: h + torch.ones(h.shape[1], dtype=h.dtype), groups=WIDE),
    vec("aten::full", lambda m, h: h + torch.full(h.shape, 2.0, dtype=h.dtype), groups=WIDE),
    vec("aten::empty", lambda m, h: h + torch.empty(h.shape, dtype=h.dtype).fill_(2.0), groups=WIDE),
    vec("aten::empty_strided", lambda m, h: h + torch.empty_strided(h.shape, h.stride(), dtype=h.dtype).fill_(2.0)),
    vec("aten::addmv", lambda m, h: torch.addmv(m.v, m.w, h.mean(0)).expand(2, -1), 5, v=weight(5), w=weight(5, 6)),
    vec("aten::mv", lambda m, h: torch.mv(m.w, h.mean(0)).expand(2, -1), 5, w=weight(5, 6)),
    vec("aten::dot", lambda m, h: h * torch.dot(h.mean(0), m.v), v=weight(6), groups=WIDE),
    vec("aten::vdot", lambda m, h: h * torch.vdot(h.mean(0), m.v), v=weight(6), groups=WIDE),
    vec("aten::_trilinear", lambda m, h: m.t(h, h.tanh()), 5, t=lambda: nn.Bilinear(6, 6, 5), groups={"a": 6, "t": 5}),
    vec("aten::_weight_norm", lambda m, h: torch._weight_norm(m.v, m.g, 0) @ h.t() @ h, v=weight(5, 6), g=weight(5, 1)),
    img("aten::im2col", patches, groups=WIDE),
    img("aten::col2im", patches, groups=WIDE),
    img("aten::grid_sampler_2d", sampled, groups=WIDE),
    vol("aten::grid_sampler_3d", sampled),
    img("aten::max_unpool2d", unpooled(F.max_pool2d, F.max_unpool2d), groups=WIDE),
    vol("aten::max_unpool3d", unpooled(F.max_pool3d, F.max_unpool3d)),
    img("aten::native_channel_shuffle", lambda m, h: torch.native_channel_shuffle(h, 2), groups={"a": 3}),
    vol("aten::reflection_pad3d", lambda m, h: F.pad(h, (1, 0, 1, 0, 0, 1), "reflect")),
    vol("aten::replication_pad3d", lambda m, h: F.pad(h, (1, 0, 1, 0, 0, 1), "replicate")),
    img("aten::rot90", lambda m, h: h.rot90(1, (2, 3)), groups=WIDE),
    img("aten::tril", lambda m, h: h.tril(), groups=WIDE),
    img("aten::triu", lambda m, h: h.triu(1), groups=WIDE),
    tok("aten::index_put", into, groups=WIDE),
    vec("aten::as_strided", lambda m, h: h.as_strided(h.shape, h.stride()), groups=WIDE),
]

AT = torch.tensor([1, 0, 1, 3, 3])

SCATTERING = [
    tok("aten::index_add", lambda m, h: h.relu().index_add(1, AT, h), groups=WIDE),
    tok("aten::index_add", lambda m, h: torch.zeros_like(h[:, :4]).index_add_(1, AT, h.tanh()), groups=WIDE),
    tok("aten::index_add", lambda m, h: h.index_add(2, torch.arange(h.shape[2]), h), pinned={"a": "by position"}),
    tok("aten::index_copy", lambda m, h: h.index_copy(1, torch.tensor([2, 0]), h[:, :2].sigmoid()), groups=WIDE),
    tok("aten::scatter_add", lambda m, h: h.scatter_add(1, h.argsort(1), h.tanh()), groups=WIDE),
    tok("aten::scatter_add", lambda m, h: h.scatter_add(1, AT[:, None].expand(2, 5, h.shape[2]), h), groups=WIDE),
    tok("aten::scatter_add", lambda m, h: h.scatter_add(1, h.argsort(1)[:, :2], h), groups=WIDE),
    tok(
        "aten::scatter_add",
        lambda m, h: h.scatter_add(1, AT[None, :2, None].repeat(2, 1, 3), h),
        pinned={"a": "by position"},
    ),
    tok("aten::scatter_reduce", lambda m, h: h.scatter_reduce(1, h.argsort(1), h.tanh(), "mean"), groups=WIDE),
    tok("aten::scatter", lambda m, h: h.scatter(1, h.argsort(1)[:, :1], h.tanh()), groups=WIDE),
    tok("aten::scatter", lambda m, h: h.scatter(1, h.argsort(1)[:, :1], 2.0), groups=WIDE),
]


def pairs(h):
    """Neighbours as real and imaginary parts."""
    return torch.view_as_complex(h.unflatten(-1, (-1, 2)).contiguous())


SPECTRAL = [
    tok("aten::view_as_complex", lambda m, h: pairs(h).abs(), 3, groups={"a": 3}),
    tok("aten::view_as_real", lambda m, h: torch.view_as_real(pairs(h) * 1j).flatten(-2), groups={"a": 3}),
    tok("aten::complex", lambda m, h: torch.complex(h, h.tanh()).abs(), groups=WIDE),
    tok("aten::polar", lambda m, h: torch.polar(h.abs(), h.tanh()).real, groups=WIDE),
    tok("aten::_conj", lambda m, h: (pairs(h).conj() * pairs(h)).real, 3, groups={"a": 3}),
    img("aten::_fft_r2c", lambda m, h: torch.fft.rfft2(h).abs(), groups=WIDE),
    img("aten::_fft_c2c", lambda m, h: torch.fft.fft2(h * (1 + 1j)).imag, groups=WIDE),
    img("aten::_fft_c2r", lambda m, h: torch.fft.irfft2(torch.fft.rfft2(h) * 2), groups=WIDE),
    tok("aten::_fft_r2c", lambda m, h: torch.fft.rfft(h, dim=-1).abs(), 4, pinned={"a": "transforms over it"}),
]

CASES = [
    *POINTWISE, *PRODUCTS, *CONVOLUTIONS, *CREATION, *TABLES, *JOINING, *MOVEMENT, *NORMS, *POOLING, *REDUCTIONS,
    *RECURRENT, *FURTHER, *SCATTERING, *SPECTRAL, *GRAPHS,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=repr)
class TestRules(OperatorContract):
    pass


def test_every_rule_has_a_case():
    """But for a few, of which it is known why."""
    ours = {name for name, one in RULES.items() if one.__module__.startswith("secateur.")}
    covered = {case.operator for case in CASES}
    assert ours - covered == set(NO_CASE) | TAKEN_APART
    assert covered <= set(RULES)


@pytest.mark.parametrize("name", sorted(TAKEN_APART))
def test_operators_that_nobody_sees(name):
    """They are made of others, by PyTorch's own account."""
    packet = getattr(aten, name.removeprefix("aten::"))
    full = [getattr(packet, overload).name() for overload in packet.overloads()]
    assert any(torch._C._dispatch_has_kernel_for_dispatch_key(one, "CompositeImplicitAutograd") for one in full)
