"""Recurrent layers keep a list of their weights beside the weights themselves; masks have to reach it.

PyTorch computes from the list `_flat_weights`. A masked layer fills it with masked weights while a pass runs, and with
the stored parameters at all other times, so that it can be copied and moved like any other layer.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils import parametrize


def follow_masks_(module: nn.Module) -> None:
    """Let a recurrent layer with parametrised weights compute from them; other modules are left alone.

    The new forward goes with the class that parametrising gave to this one module.
    """
    if not isinstance(module, nn.RNNBase):
        return
    kind: Any = type(module)

    def forward(self: nn.RNNBase, *args: Any, **kwargs: Any) -> Any:
        with parametrize.cached():  # every weight is read several times
            self._init_flat_weights()
            try:
                return kind.__bases__[0].forward(self, *args, **kwargs)
            finally:
                _store_(self)

    kind.forward = forward
    _store_(module)


def restore_flat_weights_(module: nn.Module) -> None:
    """Let the list hold the parameters of a module that is parametrised no more."""
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()  # noqa: SLF001  torch offers no public name


def _store_(module: nn.RNNBase) -> None:
    """Fill the list with stored parameters; what the user's own parametrisations compute is left out."""
    chains: Any = module.parametrizations
    module._flat_weights = [  # noqa: SLF001  torch offers no public name
        getattr(chains[name], "original", None) if name in chains else module._parameters.get(name)  # noqa: SLF001
        for name in module._flat_weights_names  # noqa: SLF001
    ]
