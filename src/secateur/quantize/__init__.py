"""Fewer bits: weights that share few values and train so, and whole networks in eight-bit integers."""

from secateur.quantize.weights import dequantize_, is_quantized, quantize, quantized_of

__all__ = ["dequantize_", "is_quantized", "quantize", "quantized_of"]
