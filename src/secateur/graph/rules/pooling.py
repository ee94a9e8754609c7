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
