"""The description of example inputs (`Example.spec`) is JSON already; what is read back is checked in full."""

from __future__ import annotations

from typing import Any

import torch

from secateur.files.reading import Node


def inputs_from_json(node: Node) -> dict[str, Any]:
    """What `Example.from_spec` accepts.

    Raises:
        CodecError: it is malformed.
    """
    fields = node.record("args", "kwargs")
    for item in [*fields["args"].items(), *fields["kwargs"].entries().values()]:
        _check(item)
    return {"args": fields["args"].value, "kwargs": fields["kwargs"].value}


def _check(node: Node) -> None:
    names = node.entries()
    if "tensor" in names:
        _check_tensor(node.record("tensor", "dtype", "low", "high"))
    elif "list" in names:
        fields = node.record("list", "tuple")
        fields["tuple"].flag()
        for item in fields["list"].items():
            _check(item)
    elif "dict" in names:
        for item in node.record("dict")["dict"].entries().values():
            _check(item)
    else:
        value = node.record("value")["value"]
        if not isinstance(value.value, None | bool | int | float | str):
            raise value.fail("a number, a string, true, false or null")


def _check_tensor(fields: dict[str, Node]) -> None:
    for size in fields["tensor"].items():
        size.whole(low=0)
    if not isinstance(getattr(torch, fields["dtype"].text(), None), torch.dtype):
        raise fields["dtype"].fail("the name of a torch dtype, for instance 'float32'")
    if fields["low"].whole() > fields["high"].whole():
        raise fields["high"].fail(f"at least low, which is {fields['low'].value}")
