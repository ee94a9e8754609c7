"""Pack: the network as bytes, as the last step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.chain.base import Given, State, Step, step
from secateur.coding import pack, unpack


@step("pack")
@dataclass(frozen=True, kw_only=True)
class Pack(Step):
    """Write the network in as few bytes as it goes, and judge what comes back out of the file.

    Attributes:
        name: of the file.

    Example:
        >>> str(Pack())
        'pack'
    """

    name: str = "model.sct"
    stage: ClassVar[int | None] = 4
    reason = "the network is in its file by then, which nothing can change"

    def __str__(self) -> str:
        return "pack"

    def apply(self, state: State, given: Given) -> State:
        """The network that was read back from the file."""
        plain = state.plain()
        packed = pack(plain, given.out / self.name, quantized=state.codes(), plan=state.plan)
        decoded = state.plain()
        decoded.load_state_dict(unpack(packed.path, entries=2**40))
        whole = (
            f"{packed.dense:,} bytes of tensors in {packed.bytes:,}: {packed.dense / packed.bytes:.1f} times smaller"
        )
        return State(model=decoded, plan=state.plan, path=packed.path, bytes=packed.bytes, told=(whole,))
