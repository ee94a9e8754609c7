"""Kernels: all that one output channel of a convolution takes from one input channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.paper import Paper
from secateur.granularity.base import Filters, Layout, WithinWeights, granularity, kernels


@granularity("kernel")
@dataclass(frozen=True, kw_only=True)
class Kernel(WithinWeights):
    """Kernels of convolutions: the k x k weights between one input channel and one output channel.

    Without a kernel, two channels are not connected at all. Linear layers have none and stay whole.

    Paper:   Anwar et al., *Structured Pruning of Deep Convolutional Neural Networks*, JETC 2017, kernel-wise sparsity.
             arXiv:1512.08571
    Shapes:  saliency (outputs, inputs, *kernel) -> scores (outputs * inputs,), a sum over the kernel
    """

    paper: ClassVar[Paper | None] = Paper("anwar2017")

    def refuses(self, weight: Filters) -> str:
        """Only convolutions have kernels."""
        return kernels(weight)

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The places of the kernel lie within a unit."""
        return Layout(shape, tuple(range(2, len(shape))))
