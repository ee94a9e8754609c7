"""The only place that makes random generators, so that no method touches the global state of torch."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def generator(seed: int, *salt: str) -> torch.Generator:
    """A CPU generator that depends on `seed` and on `salt` (a tensor or group name, say) and on nothing else.

    Args:
        seed: any integer.
        salt: strings mixed into the seed, so that streams for different names are independent of visiting order.
    """
    text = ":".join((str(seed), *salt)).encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1)


@contextmanager
def private_random(seed: int) -> Iterator[None]:
    """Inside, the global generators of Python, NumPy and torch start from `seed`; afterwards they are as they were.

    For code of others that draws from them, as trainers and a user's evaluation may do.
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002  the state that others draw from
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
