"""What `nn.MultiheadAttention` asks of widths beside what its operators say.

It reads the width of its heads off the width of the query, `head_dim = embed_dim // num_heads`, so the heads of
queries, keys and values take up together just as many entries as the embedding has. Entry by entry they are joined
here; which of them go together then follows from whether heads are cut, or positions in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from secateur.core.groups import Attribute, Group, TensorAxes

#: Under these names it keeps its projections, packed into one where all have the same width.
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def width_ties(model: nn.Module, owned: Mapping[str, Sequence[Tensor | None]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of label vectors whose entries live and die together, for every attention module of PyTorch's in `model`.

    Args:
        model: the network.
        owned: by name of a parameter its atoms along each dim, None for dims of one entry.
    """
    for _, weights in _attentions(model):
        embedding = owned[weights[0]][1]
        for produced, _ in (owned[name] for name in weights):
            if embedding is not None and produced is not None:
                yield produced, embedding.repeat(len(produced) // len(embedding))


def carrier(module: nn.Module, shape: Sequence[int], *, heads: bool) -> int | None:
    """The dim that goes on to say which entries go together where a view parts the embedding; None to choose freely.

    Args:
        module: whose forward makes the view.
        shape: what it gives: `(.., 3, embed_dim)` parts queries, keys and values, `(.., heads, head_dim)` the heads.
        heads: whether whole heads are cut, and not positions in all of them.
    """
    if not isinstance(module, nn.MultiheadAttention) or len(shape) < 2:
        return None
    if shape[-1] == module.embed_dim:
        return len(shape) - 1
    return len(shape) - (2 if heads else 1) if shape[-1] == module.head_dim else None


def attention_attributes(
    model: nn.Module, tensors: Mapping[str, TensorAxes], groups: Mapping[str, Group]
) -> Iterator[Attribute]:
    """The integers that follow a cut.

    Args:
        model: the network.
        tensors: its parameters and buffers.
        groups: what may be cut, and what not.
    """
    for path, weights in _attentions(model):
        module: Any = model.get_submodule(path)
        width, key, value = (tensors[weights[n if len(weights) == 3 else 0]].axes[1] for n in range(3))
        found = {"embed_dim": width, "kdim": key, "vdim": value}
        if _whole_heads(groups, weights[0], module.head_dim):
            found["num_heads"] = width.over(module.head_dim)
        else:
            found["head_dim"] = width.over(module.num_heads)
        yield from (Attribute(path, name, axis) for name, axis in found.items() if axis.terms)


def _attentions(model: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """The path of every attention module, and the names of its one or three projections, the query's first."""
    names = {id(p): name for name, p in model.named_parameters()}
    for path, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            weights = [w for w in (getattr(module, leaf, None) for leaf in _PROJECTIONS) if w is not None]
            # Not where they are computed from other parameters, or where a subclass has projections of its own.
            if weights and all(id(w) in names for w in weights):
                yield path, [names[id(w)] for w in weights]


def _whole_heads(groups: Mapping[str, Group], weight: str, head_dim: int) -> bool:
    """Whether the units of the embedding are whole heads, so that a cut changes their number and not their width.

    Where all entries are one unit, heads cannot be told from positions, and cannot be cut either.
    """
    slots = [s for g in groups.values() if not g.pinned for s in g.slots if (s.tensor, s.dim) == (weight, 1)]
    return all(len((unit // head_dim).unique()) * head_dim == len(unit) for slot in slots for unit in slot.index)


def settle_fast_paths_(model: nn.Module) -> None:
    """Decide anew, after a cut, whether encoders pack padded inputs: PyTorch can with an even number of heads."""
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder) and module.use_nested_tensor:
            heads = [m.num_heads for m in module.modules() if isinstance(m, nn.MultiheadAttention)]
            module.use_nested_tensor = all(n % 2 == 0 for n in heads)
