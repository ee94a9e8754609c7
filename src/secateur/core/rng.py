"""The only place that makes random generators, so that no method touches the global state of torch."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *salt: str) -> torch.Generator:
    """A CPU generator that depends on `seed` and on `salt` (a tensor or group name, say) and on nothing else.

    Args:
        seed: any integer.
        salt: strings mixed into the seed, so that streams for different names are independent of visiting order.
    """
    text = ":".join((str(seed), *salt)).encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1)
