"""Pooling and resampling: spatial dims may not be cut, channels pass through."""

from __future__ import annotations

from secateur.graph.labels import State
from secateur.graph.rules.base import Site, rule

_SPATIAL = {"1d": 1, "2d": 2, "3d": 3, "2d_with_indices": 2, "3d_with_indices": 3}


@rule(
    "aten::avg_pool1d", "aten::avg_pool2d", "aten::avg_pool3d",
    "aten::_adaptive_avg_pool2d", "aten::_adaptive_avg_pool3d",
    "aten::adaptive_avg_pool1d", "aten::adaptive_max_pool1d", "aten::adaptive_max_pool2d", "aten::adaptive_max_pool3d",
    "aten::max_pool1d", "aten::max_pool2d_with_indices", "aten::max_pool3d_with_indices",
    "aten::upsample_nearest1d", "aten::upsample_nearest2d", "aten::upsample_nearest3d",
    "aten::_upsample_nearest_exact2d",
    "aten::upsample_linear1d", "aten::upsample_bilinear2d", "aten::_upsample_bilinear2d_aa", "aten::upsample_bicubic2d",
    "aten::_upsample_bicubic2d_aa",
)  # fmt: skip
def pooling(site: Site) -> list[State]:
    """Input `(.., C, spatial..)`: a zero channel stays zero, every channel goes its own way."""
    x = site.state("self") or site.state("input")
    assert x is not None
    spatial = next(n for ending, n in _SPATIAL.items() if site.call.name.removesuffix("_aa").endswith(ending))
    first = len(x.labels) - spatial
    for labels in x.labels[first:]:
        site.pin(labels, "pools over it as a spatial dim")
    state = State((*x.labels[:first], *[None] * spatial), (*x.silent[:first], *[False] * spatial))
    return [state for _ in site.output_shapes]


@rule("aten::max_unpool2d", "aten::max_unpool3d")
def unpooling(site: Site) -> State:
    """Puts entries back to where the largest were: channels of the input and of their places go together."""
    x, places = site.state("self"), site.state("indices")
    assert x is not None and places is not None
    spatial = int(site.call.name[-2])
    first = len(x.labels) - spatial
    for labels in (*x.labels[first:], *places.labels[first:]):
        site.pin(labels, "places entries in it as a spatial dim")
    joined = [site.join(a, b) for a, b in zip(x.labels[:first], places.labels[:first], strict=True)]
    return State((*joined, *[None] * spatial), (*x.silent[:first], *[False] * spatial))


@rule("aten::grid_sampler_2d", "aten::grid_sampler_3d", "aten::cudnn_grid_sampler")
def sampling(site: Site) -> State:
    """Reads every channel of `(B, C, spatial..)` at the places that a grid `(B, spatial.., axes)` names."""
    x, grid = site.state("input") or site.state("self"), site.state("grid")
    assert x is not None and grid is not None
    for labels in (*x.labels[2:], *grid.labels[1:]):
        site.pin(labels, "samples along it as a spatial dim")
    spatial = len(x.labels) - 2
    batch = site.join(x.labels[0], grid.labels[0])
    return State((batch, x.labels[1], *[None] * spatial), (x.silent[0], x.silent[1], *[False] * spatial))
