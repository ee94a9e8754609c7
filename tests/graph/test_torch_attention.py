"""PyTorch's own attention and transformers: every variant can be cut, in widths of heads and in whole heads."""

import warnings

import pytest
import torch
from torch import nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_
from secateur.core.example import Example
from secateur.core.groups import Kind
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.granularity import Channel
from secateur.graph.record import plain_operators
from secateur.graph.trace import trace

E, H, D = 12, 4, 3  # embedding, heads, width of a head


class Own(nn.Module):
    """Self-attention behind a norm, in a residual stream."""

    def __init__(self, *, give="", masked=False, padded=False, heads=H, **options):
        super().__init__()
        self.give, self.masked, self.padded = give, masked, padded
        self.stem, self.norm, self.head = nn.Linear(5, E), nn.LayerNorm(E), nn.Linear(E, 4)
        self.attend = nn.MultiheadAttention(E, heads, **{"batch_first": True} | options)

    def forward(self, x):
        h = self.stem(x)
        n = self.norm(h)
        long = x.shape[1 if self.attend.batch_first and x.ndim == 3 else 0]
        causal = torch.ones(long, long, dtype=torch.bool, device=x.device).triu(1)
        padding = (x[..., 0] > 1.2) if self.attend.batch_first else (x[..., 0] > 1.2).t()
        a, weights = self.attend(
            n,
            n,
            n,
            attn_mask=causal if self.masked else None,
            key_padding_mask=padding if self.padded else None,
            need_weights=bool(self.give),
            average_attn_weights=self.give != "each",
        )
        return (self.head(h + a), weights) if self.give in ("mean", "each") else self.head(h + a)


class Cross(nn.Module):
    """Queries from one input, keys and values from another, of the same width or of widths of their own."""

    def __init__(self, kdim=None, vdim=None, give=False, **options):
        super().__init__()
        self.give = give
        self.q, self.k, self.head = nn.Linear(5, E), nn.Linear(5, kdim or E), nn.Linear(E, 4)
        self.v = nn.Linear(5, vdim) if vdim else self.k
        self.attend = nn.MultiheadAttention(E, H, kdim=kdim, vdim=vdim, batch_first=True, **options)

    def forward(self, x, y):
        k = self.k(y)
        a, _ = self.attend(self.q(x), k, k if self.v is self.k else self.v(y), need_weights=self.give)
        return self.head(a)


class Encoder(nn.Module):
    """Two layers of PyTorch's encoder; `lengths` pads the tail of every sample, which lets the encoder pack them."""

    def __init__(self, *, padded=False, nested=False, layer=nn.TransformerEncoderLayer, **options):
        super().__init__()
        self.padded = padded
        one = layer(E, H, 10, **{"batch_first": True, "dropout": 0.0} | options)
        self.stem, self.head = nn.Linear(5, E), nn.Linear(E, 4)
        self.encode = nn.TransformerEncoder(one, 2, enable_nested_tensor=nested)

    def forward(self, x):
        padding = torch.arange(x.shape[1], device=x.device) > 3 + torch.arange(x.shape[0], device=x.device)[:, None]
        return self.head(self.encode(self.stem(x), src_key_padding_mask=padding if self.padded else None))


class Decoder(nn.Module):
    def __init__(self, **options):
        super().__init__()
        one = nn.TransformerDecoderLayer(E, H, 10, batch_first=True, dropout=0.0, **options)
        self.stem, self.memory, self.head = nn.Linear(5, E), nn.Linear(5, E), nn.Linear(E, 4)
        self.decode = nn.TransformerDecoder(one, 2)

    def forward(self, x, y):
        return self.head(self.decode(self.stem(x), self.memory(y)))


class Whole(nn.Module):
    """`nn.Transformer`, which checks its `d_model`."""

    def __init__(self, **options):
        super().__init__()
        self.source, self.target, self.head = nn.Linear(5, E), nn.Linear(5, E), nn.Linear(E, 4)
        self.transform = nn.Transformer(E, H, 1, 1, 10, dropout=0.0, batch_first=True, **options)

    def forward(self, x, y):
        causal = self.transform.generate_square_subsequent_mask(y.shape[1], device=x.device, dtype=x.dtype)
        return self.head(self.transform(self.source(x), self.target(y), tgt_mask=causal))


X, Y = (torch.randn(2, long, 5, generator=generator(0, "x", str(long)), dtype=torch.float64) for long in (7, 6))
FFN = {"encode.layers.0.linear1": 10, "encode.layers.1.linear1": 10}
DFN = {"decode.layers.0.linear1": 10, "decode.layers.1.linear1": 10}
TFN = {"transform.encoder.layers.0.linear1": 10, "transform.decoder.layers.0.linear1": 10}

#: By name the network, its inputs, and what can be cut beside the embedding (whose first producer is named).
VARIANTS = {
    "self": (Own, (X,), "stem", {}),
    "weights thrown away": (lambda: Own(give="nobody"), (X,), "stem", {}),
    "causal": (lambda: Own(masked=True), (X,), "stem", {}),
    "padded": (lambda: Own(padded=True), (X,), "stem", {}),
    "sequence first": (lambda: Own(batch_first=False), (X,), "stem", {}),
    "not batched": (Own, (X[0],), "stem", {}),
    "no bias": (lambda: Own(bias=False), (X,), "stem", {}),
    "bias_k and bias_v": (lambda: Own(add_bias_kv=True), (X,), "stem", {}),
    "add_zero_attn": (lambda: Own(add_zero_attn=True), (X,), "stem", {}),
    "causal, padded and biased": (lambda: Own(masked=True, padded=True, add_bias_kv=True), (X,), "stem", {}),
    "cross": (Cross, (X, Y), "k", {"attend.out_proj": E}),
    "cross, weights thrown away": (lambda: Cross(give=True), (X, Y), "k", {"attend.out_proj": E}),
    "kdim, vdim": (lambda: Cross(10, 8), (X, Y), "q", {"k": 10, "v": 8, "attend.out_proj": E}),
    "kdim, vdim, bias_k": (
        lambda: Cross(10, 8, add_bias_kv=True), (X, Y), "q", {"k": 10, "v": 8, "attend.out_proj": E}
    ),
    "encoder": (Encoder, (X,), "stem", FFN),
    "encoder, norms first, gelu": (lambda: Encoder(norm_first=True, activation="gelu"), (X,), "stem", FFN),
    "encoder, no bias": (lambda: Encoder(bias=False), (X,), "stem", FFN),
    "encoder, sequence first": (lambda: Encoder(batch_first=False), (X,), "stem", FFN),
    "encoder, padded": (lambda: Encoder(padded=True), (X,), "stem", FFN),
    "decoder": (Decoder, (X, Y), "stem", DFN),
    "decoder, norms first": (lambda: Decoder(norm_first=True), (X, Y), "stem", DFN),
    "transformer": (Whole, (X, Y), "source", TFN),
    "transformer, norms first": (lambda: Whole(norm_first=True, activation="gelu"), (X, Y), "source", TFN),
}  # fmt: skip


def built(name):
    make, inputs, first, others = VARIANTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyTorch says of its encoders when they will not pack
        return strengthen_(make()).eval(), inputs, first, others


def plans(graph, count=3):
    """Random plans in which every group loses something, and none as much as another."""
    for seed in range(count):
        kept = {}
        for name, group in graph.cuttable.items():
            rng = generator(seed, "attention", name)
            left = int(torch.randint(1, group.units, (1,), generator=rng))
            kept[name] = torch.zeros(group.units, dtype=torch.bool)
            kept[name][torch.randperm(group.units, generator=rng)[:left]] = True
        yield PruningPlan(kept, Channel(), graph)


@pytest.mark.parametrize("heads", [False, True], ids=["positions", "heads"])
@pytest.mark.parametrize("name", VARIANTS)
def test_everything_is_cut_and_masked_is_shrunk(name, heads):
    """On PyTorch's fused path, beside it, and in training mode."""
    model, inputs, first, others = built(name)
    example, graph = Example.of(inputs), trace(model, inputs, heads=heads)
    assert {n: g.units for n, g in graph.cuttable.items()} == {first: H if heads else D} | others
    assert graph.groups[first].kind is (Kind.HEADS if heads else Kind.HEAD_DIM)
    assert not graph.unknown
    for plan in plans(graph):
        masked, small = mask(model, plan), shrink(model, plan)
        fast, trained = outputs(small, example), outputs(small, example, training=True)
        with plain_operators():
            slow = outputs(small, example)
            assert difference(outputs(masked, example), slow) < 1e-9
        assert difference(slow, fast) < 1e-9
        assert difference(outputs(masked, example), fast) < 1e-9
        assert difference(outputs(masked, example, training=True), trained) < 1e-9
        assert difference(outputs(model, example), fast) > 1e-3  # something was cut


@pytest.mark.parametrize("heads", [False, True], ids=["positions", "heads"])
@pytest.mark.parametrize("name", ["self", "kdim, vdim", "bias_k and bias_v", "encoder", "decoder", "transformer"])
def test_modules_know_their_widths(name, heads):
    """All integers are what a module of that size, made anew, would have, and its state fits."""
    model, inputs, *_ = built(name)
    (plan,) = plans(trace(model, inputs, heads=heads), 1)
    small = shrink(model, plan)
    found = [m for m in small.modules() if isinstance(m, nn.MultiheadAttention)]
    assert found
    for one in found:
        assert one.num_heads == (plan.width(VARIANTS[name][2]) if heads else H)
        options = {"kdim": one.kdim, "vdim": one.vdim} if not one._qkv_same_embed_dim else {}
        fresh = nn.MultiheadAttention(
            one.embed_dim, one.num_heads, batch_first=True, add_bias_kv=one.bias_k is not None, **options
        )
        integers = {k: v for k, v in vars(fresh).items() if isinstance(v, int)}
        assert integers == {k: v for k, v in vars(one).items() if isinstance(v, int)} | {"training": True}
        if name not in ("kdim, vdim",):  # there, what comes out is as wide as its reader likes
            fresh.load_state_dict(one.state_dict(), strict=True)
    if name == "transformer":
        assert small.transform.d_model == found[0].embed_dim


def test_single_head():
    """With one head every position goes on its own."""
    model = strengthen_(Own(heads=1)).eval()
    graph = trace(model, X)
    assert {n: g.units for n, g in graph.cuttable.items()} == {"stem": E}
    for plan in plans(graph):
        small = shrink(model, plan)
        assert difference(outputs(mask(model, plan), Example.of(X)), outputs(small, Example.of(X))) < 1e-9
        assert (small.attend.num_heads, small.attend.head_dim) == (1, plan.width("stem"))


def test_returned_weights():
    """Weights that the model returns: widths of heads can go; heads cannot, since they are averaged or returned."""
    for give in ("mean", "each"):
        model = strengthen_(Own(give=give)).eval()
        graph = trace(model, X)
        assert {n: g.units for n, g in graph.cuttable.items()} == {"stem": D}
        for plan in plans(graph):
            gap = difference(outputs(mask(model, plan), Example.of(X)), outputs(shrink(model, plan), Example.of(X)))
            assert gap < 1e-9
        graph = trace(model, X, heads=True)
        assert not graph.cuttable
    averaged = trace(strengthen_(Own(give="mean")).eval(), X, heads=True).groups["stem"].pinned
    assert "computes over it: operator aten.mean at attend" in averaged


def test_alone():
    """Attention that reads the model's inputs and gives its outputs is as wide as they are."""
    model = nn.MultiheadAttention(E, H, batch_first=True)
    x = torch.zeros(2, 7, E)
    graph = trace(model, (x, x, x))
    assert not graph.cuttable
    assert "an input of the model" in graph.groups["in_proj_weight"].pinned


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("heads", [False, True], ids=["positions", "heads"])
def test_packed_padding(heads):
    """Encoders that pack padded inputs answer zero for padding; elsewhere the masked network agrees."""
    model = strengthen_(Encoder(padded=True, nested=True)).eval()
    assert model.encode.use_nested_tensor
    live = torch.arange(X.shape[1]) <= 3 + torch.arange(X.shape[0])[:, None]
    for plan in plans(trace(model, X, heads=heads), 4):
        masked, small = mask(model, plan), shrink(model, plan)
        assert small.encode.use_nested_tensor == (not heads or plan.width("stem") % 2 == 0)
        (a,), (b,) = outputs(masked, Example.of(X)), outputs(small, Example.of(X))
        assert difference([a[live]], [b[live]]) < 1e-9


def test_torchs_own_gradients_do_not_leak_into_dead_units():
    """Masked encoders train, and dead entries of packed projections get no gradient."""
    model, inputs, *_ = built("encoder")
    (plan,) = plans(trace(model, inputs), 1)
    masked = mask(model, plan).train()
    masked(*inputs).square().mean().backward()
    packed = masked.encode.layers[0].self_attn
    keep = plan.masks()["encode.layers.0.self_attn.in_proj_weight"]
    grad = packed.parametrizations.in_proj_weight.original.grad
    assert not bool(grad[~keep].any()) and bool(grad[keep].any())


def test_a_subclass_with_projections_of_its_own():
    """It is traced like any module that nobody knows, and agrees."""

    class Other(nn.MultiheadAttention):
        def __init__(self):
            super().__init__(E, H, batch_first=True)
            del self.in_proj_weight, self.in_proj_bias
            self.mix = nn.Linear(E, 10)
            self.back = nn.Linear(10, E)

        def forward(self, q, k, v, **_):
            return self.out_proj(self.back(self.mix(q).relu())), None

    model = Own()
    model.attend = Other()
    model = strengthen_(model).eval()
    graph = trace(model, X)
    assert {n: g.units for n, g in graph.cuttable.items()} == {"stem": E, "attend.mix": 10, "attend.back": E}
    for plan in plans(graph):
        assert difference(outputs(mask(model, plan), Example.of(X)), outputs(shrink(model, plan), Example.of(X))) < 1e-9
