"""How much a file may ask for: entries of tensors, and steps of the slow adaptive coder, however it is made up."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.core.errors import CodecError

#: Without a word from the caller, a file may hold this many entries, and so many more per byte of it.
ENTRIES, PER_BYTE = 2**22, 2**12
#: Bits that the adaptive coder may decode: a few microseconds each.
STEPS, STEPS_PER_BYTE = 2**16, 2**12


def affordable(steps: int, size: int) -> bool:
    """Whether a stream of `size` bytes may take so many steps; if all streams keep to it, any file of theirs does."""
    return steps <= 2**10 + STEPS_PER_BYTE // 2 * size


@dataclass(slots=True)
class Allowance:
    """What is left; reading uses it up, and asks before anything is allocated.

    Attributes:
        entries: of all tensors together.
        steps: bits of the adaptive coder.
    """

    entries: int
    steps: int

    @classmethod
    def of(cls, size: int, entries: int | None = None) -> Allowance:
        """That of a file of `size` bytes; `entries` replaces the first limit."""
        most = ENTRIES + PER_BYTE * size if entries is None else entries
        return cls(most, STEPS + STEPS_PER_BYTE * size)

    def spend_entries(self, count: int, name: str) -> None:
        """Take `count` entries.

        Raises:
            CodecError: there are not so many left.
        """
        if count > self.entries:
            raise CodecError(
                f"tensor {name!r} claims {count:,} entries, more than the {self.entries:,} that are left for a file of "
                "this size. If you trust the file, say how many entries it may have: unpack(path, entries=...)."
            )
        self.entries -= count

    def spend_steps(self, count: int) -> None:
        """Take `count` steps.

        Raises:
            CodecError: there are not so many left.
        """
        if count > self.steps:
            raise CodecError(
                f"a stream claims {count:,} bits of the adaptive coder, more than the {self.steps:,} that are left for "
                "a file of this size. It is damaged, or not one of ours."
            )
        self.steps -= count
