"""Parameters that training puts beside those of the user's modules for a while."""

from __future__ import annotations

from torch import Tensor, nn

from secateur.core.errors import IncompatibleError

#: How the names of such parameters begin. They are no part of a network's structure.
PREFIX = "secateur_"


def is_attached(name: str) -> bool:
    """Whether a parameter of this qualified name was attached."""
    return name.rpartition(".")[2].startswith(PREFIX)


def attach_(module: nn.Module, leaf: str, value: Tensor) -> nn.Parameter:
    """Register a parameter `secateur_<leaf>` with `module` and return it.

    Raises:
        IncompatibleError: there is one already.
    """
    if hasattr(module, PREFIX + leaf):
        raise IncompatibleError(
            f"a {type(module).__name__} has {PREFIX + leaf!r} already: two sessions are at work on one network. "
            "Leave the first before the second is entered."
        )
    parameter = nn.Parameter(value)
    module.register_parameter(PREFIX + leaf, parameter)
    return parameter


def detach_(module: nn.Module, leaf: str) -> None:
    """Take the parameter off again."""
    delattr(module, PREFIX + leaf)


def attached(module: nn.Module, leaf: str) -> nn.Parameter:
    """The parameter `secateur_<leaf>` of `module`."""
    found = getattr(module, PREFIX + leaf)
    assert isinstance(found, nn.Parameter)
    return found
