"""`python -m benchmarks.coding.corpus`: writes tests/coding/corpus, files of today's schema and mutations of them.

Tests read both from then on: the former must give the same tensors for ever, the latter the same refusals. Do not write
it again unless the schema changes; what was read once must stay readable.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from benchmarks.coding.fuzz import fingerprint, mutation, originals
from secateur.coding.packing import read
from secateur.core.errors import CodecError

FOLDER = Path(__file__).parents[2] / "tests" / "coding" / "corpus"
_SEED, _PER_KIND = 0, 6


def main() -> None:
    """Write both files."""
    FOLDER.mkdir(exist_ok=True)
    files = originals()
    _write("schema-1.json", [record(content, {"number": i}) for i, content in enumerate(files)])
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(3000):
        _, kind, content = mutation(files, _SEED, number)
        if len(content) < 600 and len(found.setdefault(kind, [])) < _PER_KIND:
            found[kind].append(record(content, {"kind": kind, "seed": _SEED, "number": number}))
    _write("mutated.json", [one for kind in sorted(found) for one in found[kind]])


def record(content: bytes, about: dict[str, Any]) -> dict[str, Any]:
    """A file as JSON, and what reading it gives: a fingerprint of its tensors, or null where it is refused."""
    return {**about, "content": base64.b64encode(content).decode(), "tensors": outcome(content)}


def outcome(content: bytes) -> int | None:
    """Fingerprint of a file's tensors, None if it is refused."""
    try:
        return fingerprint(read(content, "corpus")[1])
    except CodecError:
        return None


def _write(name: str, records: list[dict[str, Any]]) -> None:
    (FOLDER / name).write_text("[\n" + ",\n".join(json.dumps(one) for one in records) + "\n]\n")


if __name__ == "__main__":
    main()
