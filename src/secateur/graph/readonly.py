"""A pass over parameters that belong to somebody else: the first write to one of them ends it before it happens."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Written(BaseException):
    """An operator was about to write to a parameter. Not an `Exception`, so that no forward takes it for its own."""


class ReadOnly(TorchDispatchMode):
    """Lets no operator write to the memory of a model's parameters. What goes around operators (NumPy) it cannot see.

    Args:
        model: whose parameters.

    Raises:
        Written: an operator would have.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self.homes = {_home(p) for p in model.parameters()}

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable and any(_home(x) in self.homes for x in _written(func, args, kwargs)):  # noqa: SLF001  torch offers no public name
            raise Written
        return func(*args, **kwargs)


def _written(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors among the arguments that the operator says it writes to."""
    found: list[Any] = []
    for number, argument in enumerate(func._schema.arguments):  # noqa: SLF001  torch offers no public name
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[number] if number < len(args) else kwargs.get(argument.name))
    return [x for x in tree_leaves(found) if isinstance(x, Tensor)]


def _home(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  an address, not data
