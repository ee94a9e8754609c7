"""Plans to JSON and back. Reading runs no code from the file: names are looked up, numbers are checked."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torch import Tensor

from secateur.core.contracts import Granularity
from secateur.core.errors import CodecError, UnknownNameError, UnsupportedError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import Provenance, PruningPlan
from secateur.files.json_graph import graph_from_json, graph_to_json
from secateur.files.json_index import mask_from_json, mask_to_json
from secateur.files.reading import Node, writable
from secateur.granularity import GRANULARITIES

SCHEMA = 1


def plan_to_json(plan: PruningPlan) -> str:
    """Everything that a plan is, as one line of JSON; equal plans with equal provenance give equal text.

    Raises:
        UnknownNameError: the plan's granularity is not registered.
        UnsupportedError: the granularity has a field that JSON cannot hold.
    """
    provenance = asdict(plan.provenance) | {"reached": writable(plan.provenance.reached)}
    record = {
        "schema": SCHEMA,
        "kind": "secateur plan",
        "granularity": _granularity_to_json(plan.granularity),
        "provenance": provenance,
        "kept": {name: mask_to_json(keep) for name, keep in plan.kept.items()},
        "graph": graph_to_json(plan.graph),
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def plan_from_json(text: str) -> PruningPlan:
    """The plan that `plan_to_json` wrote, equal to the one that was written and with the same digest.

    Args:
        text: JSON.

    Returns:
        The plan.

    Raises:
        CodecError: the text is no plan, is damaged, or was written by another version.
    """
    node = Node.parse(text, "plan")
    node.schema(SCHEMA)
    record = node.record("schema", "kind", "granularity", "provenance", "kept", "graph")
    if record["kind"].value != "secateur plan":
        raise record["kind"].fail("'secateur plan'")
    graph = graph_from_json(record["graph"])
    granularity = _granularity_from_json(record["granularity"])
    return PruningPlan(
        kept=_kept_from_json(record["kept"], granularity, graph),
        granularity=granularity,
        graph=graph,
        provenance=_provenance_from_json(record["provenance"]),
    )


def _kept_from_json(node: Node, granularity: Granularity, graph: ChannelGraph) -> dict[str, Tensor]:
    units = {block.name: block.units for block in granularity.blocks(graph)}
    kept = {name: mask_from_json(mask) for name, mask in node.entries().items()}
    for name, keep in kept.items():
        if name not in units:
            raise CodecError(
                f"{node.where} cuts {name!r}, which may not be cut. Allowed: {', '.join(units)}. Plan again."
            )
        if keep.numel() != units[name]:
            raise CodecError(
                f"{node.where}[{name!r}] speaks of {keep.numel()} units, but there are {units[name]}. Plan again."
            )
    return kept


def _provenance_from_json(node: Node) -> Provenance:
    later = ("asked", "frozen")  # files of the first version lack them
    record = node.record(*(f.name for f in fields(Provenance) if f.name not in later), optional=later)
    return Provenance(
        criterion=record["criterion"].text(),
        allocation=record["allocation"].text(),
        budget=record["budget"].text(),
        reached=record["reached"].number(),
        seed=record["seed"].whole(-(2**64), 2**64),
        version=record["version"].text(),
        asked={n: x.number() for n, x in record["asked"].entries().items()} if "asked" in record else {},
        frozen=tuple(x.text() for x in record["frozen"].items()) if "frozen" in record else (),
    )


def _granularity_to_json(granularity: Granularity) -> dict[str, Any]:
    assert is_dataclass(granularity)
    values = {f.name: getattr(granularity, f.name) for f in fields(granularity) if f.init}
    odd = [f"{name}={value!r}" for name, value in values.items() if not _is_plain(value)]
    if odd:
        raise UnsupportedError(
            f"{type(granularity).__name__} cannot be saved: {', '.join(odd)}. "
            "Allowed are numbers, strings, booleans, None and tuples of them; change the type of the field."
        )
    return {"name": GRANULARITIES.name_of(granularity), "fields": values}


def _granularity_from_json(node: Node) -> Granularity:
    record = node.record("name", "fields")
    try:
        kind = GRANULARITIES[record["name"].text()]
    except UnknownNameError as error:
        raise CodecError(
            f"the plan's granularity is not known here: {error} Import the package that registers it first."
        ) from error
    values = {name: _frozen(value.value) for name, value in record["fields"].entries().items()}
    _check_fields(kind, values, record["fields"])
    try:
        return kind(**values)
    except Exception as error:  # whatever a third party's constructor says about a bad value
        raise record["fields"].fail(f"fields of {kind.__name__} ({error})") from error


def _check_fields(kind: type[Granularity], values: dict[str, Any], node: Node) -> None:
    """Python does not check a `Literal` by itself, so it is done here."""
    assert is_dataclass(kind)
    known = {f.name: f for f in fields(kind) if f.init}
    required = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if not set(required) <= set(values) <= set(known):
        raise node.fail(f"the fields {', '.join(known) or '(none)'} of {kind.__name__}")
    for name, hint in get_type_hints(kind).items():
        if name in values and get_origin(hint) is Literal and values[name] not in get_args(hint):
            raise node.entries()[name].fail(f"one of {', '.join(map(repr, get_args(hint)))}")


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(x) for x in value)
    return isinstance(value, None | bool | int | float | str)


def _frozen(value: Any) -> Any:
    """Lists become tuples again: JSON has no tuples, and hyper-parameters must hash."""
    return tuple(_frozen(x) for x in value) if isinstance(value, list) else value
