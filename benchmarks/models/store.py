"""Records as lines of JSON: one per model, the last one counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
Key = tuple[str, str]


def lines(file: Path) -> list[Record]:
    """All records in the order in which they were written; none where there is no file."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]


def read(file: Path) -> dict[Key, Record]:
    """The last record of every model, by zoo and name."""
    return {(r["zoo"], r["name"]): r for r in lines(file)}


def append(file: Path, record: Record) -> None:
    """Write one more record."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        stream.write(json.dumps(record) + "\n")
