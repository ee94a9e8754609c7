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
    "aten::_upsample_nearest_exact1d", "aten::_upsample_nearest_exact2d", "aten::_upsample_nearest_exact3d",
    "aten::upsample_linear1d", "aten::upsample_bilinear2d", "aten::upsample_trilinear3d",
    "aten::_upsample_bilinear2d_aa", "aten::upsample_bicubic2d", "aten::_upsample_bicubic2d_aa",
)  # fmt: skip
def pooling(site: Site) -> list[State]:
    """Input `(.., C, spatial..)`: a zero channel stays zero, every channel goes its own way.

    So does every entry of a spatial dim along which the windows are one entry long, and one apart.
    """
    x = site.state("self") or site.state("input")
    assert x is not None
    spatial = next(n for ending, n in _SPATIAL.items() if site.call.name.removesuffix("_aa").endswith(ending))
    first = len(x.labels) - spatial
    labels, silent = list(x.labels), list(x.silent)
    for d in range(first, len(labels)):
        if not _leaves_alone(site, d - first):
            site.pin(labels[d], "pools over it as a spatial dim")
            labels[d], silent[d] = None, False
    return [State(tuple(labels), tuple(silent)) for _ in site.output_shapes]


def _leaves_alone(site: Site, dim: int) -> bool:
    """Whether pooling by windows does nothing along its spatial dim of this number."""
    if "kernel_size" not in site.call.bound:
        return False
    kernel = site.literal("kernel_size")
    plain = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
    given = {"kernel_size": kernel, "stride": site.literal("stride") or kernel}
    given |= {name: site.literal(name, plain[name]) for name in ("padding", "dilation")}
    return all(_at(given[name], dim) == wanted for name, wanted in plain.items())


def _at(value: int | list[int], dim: int) -> int:
    if isinstance(value, int):
        return value
    return value[dim] if len(value) > 1 else value[0]


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
