"""The tensors of a network, tied ones once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from secateur.core.errors import UnsupportedError


def state(model: nn.Module) -> dict[str, Tensor]:
    """Everything that `model.state_dict()` holds, as the module's own objects.

    Raises:
        UnsupportedError: a module keeps something else than dense tensors in its state.
    """
    found = model.state_dict(keep_vars=True)
    odd = [name for name, value in found.items() if not isinstance(value, Tensor) or _is_special(value)]
    if odd:
        raise UnsupportedError(
            f"the state of the model holds things that are not plain tensors: {', '.join(map(repr, odd))}. "
            "Only dense tensors can be written to a safetensors file; remove the others, or initialise lazy modules."
        )
    return dict(found)


def distinct(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tell tied tensors from others.

    Args:
        tensors: by name; the same object or the same view of the same memory may come up under several names.

    Returns:
        Each tensor once, under its first name; and the other names, each with the first name it stands for.
    """
    first: dict[Any, str] = {}
    unique: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        original = first.setdefault(_identity(tensor), name)
        if original == name:
            unique[name] = tensor
        else:
            aliases[name] = original
    return unique, aliases


def _identity(tensor: Tensor) -> Any:
    # Empty tensors and those of the meta device have no address that would tell them apart.
    if not tensor.numel() or tensor.is_meta:
        return id(tensor)
    return tensor.data_ptr(), tensor.device, tensor.dtype, tuple(tensor.shape), tensor.stride()


def _is_special(tensor: Tensor) -> bool:
    lazy = nn.parameter.is_lazy(tensor)
    return lazy or tensor.is_meta or tensor.is_sparse or tensor.is_quantized or tensor.is_nested
