"""What a record says: one word per model, and the two counts that matter most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.models.store import Record

#: From bad to good: a model is as bad as its worst plan.
WORDS = ("timeout", "killed", "failed", "raises", "differs", "unproven", "too large", "nothing to cut", "equal")


def word(record: Record) -> str:
    """The worst that happened to a model, one of `WORDS`."""
    if record["status"] != "checked":
        return str(record["status"])
    return min((str(plan["status"]) for plan in record["plans"].values()), key=WORDS.index)


def wrong_graph(record: Record) -> list[str]:
    """Plans that verification refused: the graph alone would have been wrong."""
    return [name for name, plan in _plans(record) if plan["status"] in ("differs", "raises")]


def handed_out_wrong(record: Record) -> list[str]:
    """Plans that passed verification, and of which our own comparison says that the networks differ. Must be none."""
    return [
        name
        for name, plan in _plans(record)
        if plan["status"] == "equal" and plan["recheck"]["status"] in ("differs", "raises")
    ]


def false_alarms(record: Record) -> list[str]:
    """Plans that verification refused as different, and of which our own comparison says that the networks are one."""
    return [
        name for name, plan in _plans(record) if plan["status"] == "differs" and plan["recheck"]["status"] == "equal"
    ]


def lost(record: Record) -> dict[str, str]:
    """What the cut network lost (gradients, flags, ties), or what the cut did to the model that was passed in."""
    return {name: text for name, text in record.get("keeps", {}).items() if text}


def _plans(record: Record) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from record.get("plans", {}).items()
