"""Fewer bits: weights that share few values and train so, and whole networks in eight-bit integers."""

from secateur.quantize.adaround import AdaRound, round_adaptively_
from secateur.quantize.biases import correct_biases_
from secateur.quantize.equalizing import equalize_
from secateur.quantize.folding import fold_norms
from secateur.quantize.runtimes import Int8File, export_int8, int8_latency
from secateur.quantize.simulating import (
    Activations,
    integer_layers,
    remove_input_grids_,
    simulate,
)
from secateur.quantize.soft_sharing import Mixture
from secateur.quantize.weights import dequantize_, is_quantized, quantize, quantized_of

__all__ = [
    "Activations",
    "AdaRound",
    "Int8File",
    "Mixture",
    "correct_biases_",
    "dequantize_",
    "equalize_",
    "export_int8",
    "fold_norms",
    "int8_latency",
    "integer_layers",
    "is_quantized",
    "quantize",
    "quantized_of",
    "remove_input_grids_",
    "round_adaptively_",
    "simulate",
]
