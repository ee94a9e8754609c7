"""Checkpoints: everything that a training needs to go on after it was killed, as if it had not been."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core.errors import CodecError, IncompatibleError
from secateur.files.atomic import atomically

_SCHEMA = 1


class Checkpoint:
    """One file that always holds the last safe state of a long piece of work.

    The work has stages ("sparsify", "fine-tune 2/5", …). Each stage saves its state under its name; a run that is
    started again loads the file, passes over the stages that lie behind, and goes on in the middle of the one it was
    in. A file is replaced as a whole or not at all, so there is always one to go on from.
    """

    def __init__(self, path: str | os.PathLike[str], work: str, *, resume: bool = False, seconds: float = 30.0) -> None:
        """Open the file at `path` if `resume` is set, and check that it belongs to the same work.

        Args:
            path: the file; its folder must exist.
            work: what is done, in words that differ when anything differs that the result depends on.
            resume: go on from the file, if it is there; otherwise it is replaced.
            seconds: between two saves in the middle of a stage.

        Raises:
            CodecError: the file cannot be read.
            IncompatibleError: it belongs to other work.
        """
        self.path, self.work, self.seconds = Path(path), work, seconds
        self.found: dict[str, Any] = self._load() if resume and self.path.exists() else {}
        self.notes: dict[str, Any] = dict(self.found.get("notes", {}))
        self._last = time.monotonic()

    def of(self, stage: str) -> Mapping[str, Any] | None:
        """The state that was saved in `stage`, if that is the stage to go on in."""
        return self.found["state"] if self.found.get("stage") == stage else None

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, stage: str, state: Mapping[str, Any]) -> None:
        """Replace the file."""
        self.found = {}
        with atomically(self.path) as file:
            whole = {"schema": _SCHEMA, "work": self.work, "stage": stage, "state": dict(state), "notes": self.notes}
            torch.save(whole, file)
        self._last = time.monotonic()

    def _load(self) -> dict[str, Any]:
        try:
            # Tensors and plain values only: a checkpoint cannot run code.
            found: dict[str, Any] = torch.load(self.path, weights_only=True, map_location="cpu")
        except Exception as error:
            raise CodecError(
                f"{str(self.path)!r} is not a checkpoint that can be read: {error}. Start anew without resuming."
            ) from error
        if not isinstance(found, dict) or found.get("schema") != _SCHEMA:
            raise CodecError(f"{str(self.path)!r} is no checkpoint of schema {_SCHEMA}. Start anew without resuming.")
        if found["work"] != self.work:
            raise IncompatibleError(
                f"the checkpoint {str(self.path)!r} belongs to other work. It was made for: {found['work']}; this is: "
                f"{self.work}. Use the same network, recipe, budget and seed, or start anew without resuming."
            )
        return found


def random_state() -> dict[str, Any]:
    """The state of every global random generator, as tensors and plain values."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  a user's data may use it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": [version, list(numbers), gauss],
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, float(cached)],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put every global random generator where `random_state` found it."""
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
