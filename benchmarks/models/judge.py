"""What a record says: one word per model, and the two counts that matter most."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.models.store import Record

#: From bad to good: a model is as bad as its worst plan.
WORDS = ("timeout", "killed", "failed", "raises", "differs", "unproven", "nothing to cut", "equal")


#: Beginnings of reasons that no tool could do anything about: outputs, words of a vocabulary.
_NATURAL = ("is an output of the model", "looks rows up by number")
#: Beginnings of reasons that follow from other ones (the first of all is an input of the model).
_FOLLOWS = ("reads what cannot be cut", "meets a dim that cannot be cut", "shares a position")


def word(record: Record) -> str:
    """The worst that happened to a model, one of `WORDS`; a plan that could cut nothing counts if no plan could."""
    if record["status"] != "checked":
        return str(record["status"])
    found = {str(plan["status"]) for plan in record["plans"].values()}
    return min(found - {"nothing to cut"} or found, key=WORDS.index)


def wrong_graph(record: Record) -> list[str]:
    """Plans that verification refused, false alarms aside: the graph alone would have been wrong."""
    refused = [name for name, plan in _plans(record) if plan["status"] in ("differs", "raises")]
    return [name for name in refused if name not in false_alarms(record)]


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


def reasons(record: Record) -> list[tuple[str, int]]:
    """Why units are pinned, and how many: causes before what follows from them, most first, none that is natural."""
    found = [(why, units) for why, units in record.get("pinned", ()) if not why.startswith(_NATURAL)]
    return sorted(found, key=lambda pair: pair[0].startswith(_FOLLOWS))


def causes(record: Record) -> list[str]:
    """The reasons that follow from no other, without names of modules and figures, each once."""
    return list(dict.fromkeys(bare(why) for why, _ in reasons(record) if not why.startswith(_FOLLOWS)))


def bare(reason: str) -> str:
    """A reason without names of modules and figures, so that equal causes in different places count together."""
    text = re.sub(r" at \S+$", "", reason)
    text = re.sub(r"\([^()]*\)", "", re.sub(r"\[[^\]]*\]", "[…]", text))
    return re.sub(r"\s+", " ", text).replace(" :", ":").strip()


def worst(record: Record) -> float | None:
    """The largest difference that verification or the second opinion saw between networks that count as equal."""
    seen = [
        answer["difference"]
        for _, plan in _plans(record)
        if plan["status"] == "equal"
        for answer in (plan, plan["recheck"])
        if "difference" in answer
    ]
    return max(seen, default=None)


def _plans(record: Record) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from record.get("plans", {}).items()
