"""A report as JSON, and back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from secateur.core.report import SCHEMA, CompressionReport, InTime, Latency, Measurement, Width
from secateur.files.atomic import write_text
from secateur.files.reading import Node, read_text, writable


def write_json(report: CompressionReport, path: str | os.PathLike[str]) -> Path:
    """Write a report as JSON, as a whole or not at all; returns the path."""
    return write_text(path, json.dumps(_plain(report.to_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> CompressionReport:
    """The report that `write_json` wrote.

    Raises:
        CodecError: the file is damaged, no report, or of another version.
    """
    node = Node.parse(read_text(path), os.fspath(path))
    node.schema(SCHEMA)
    # fmt: off
    fields = node.record(
        "before", "after", "widths", "budget", "reached", "equivalence", "plan_digest", "recipe", "papers",
        "unknown_ops", "environment", "controls", "schema", optional=("time",),
    )
    # fmt: on
    return CompressionReport(
        before=_measurement(fields["before"]),
        after=_measurement(fields["after"]),
        widths=tuple(_width(width) for width in fields["widths"].items()),
        budget=fields["budget"].text(),
        reached=fields["reached"].number(),
        equivalence=fields["equivalence"].number(),
        plan_digest=fields["plan_digest"].text(),
        recipe=fields["recipe"].text(),
        papers=tuple(paper.text() for paper in fields["papers"].items()),
        unknown_ops={name: number.whole(low=0) for name, number in fields["unknown_ops"].entries().items()},
        environment={name: value.text() for name, value in fields["environment"].entries().items()},
        controls={name: _measurement(control) for name, control in fields["controls"].entries().items()},
        time=_time(fields["time"]) if "time" in fields and fields["time"].value is not None else None,
    )


def _time(node: Node) -> InTime:
    fields = node.record("asked", "limit", "keep", "ms", "dense", "tried", "final")
    return InTime(
        asked=fields["asked"].text(),
        limit=fields["limit"].number(),
        keep=fields["keep"].number(),
        ms=fields["ms"].number(),
        dense=fields["dense"].number(),
        tried=fields["tried"].whole(low=0),
        final=None if fields["final"].value is None else fields["final"].number(),
    )


def _measurement(node: Node) -> Measurement:
    fields = node.record("macs", "params", "nonzeros", "bytes", "latency", "quality")
    return Measurement(
        macs=fields["macs"].whole(low=0),
        params=fields["params"].whole(low=0),
        nonzeros=fields["nonzeros"].whole(low=0),
        bytes=fields["bytes"].whole(low=0),
        latency=tuple(_latency(latency) for latency in fields["latency"].items()),
        quality={name: value.number() for name, value in fields["quality"].entries().items()},
    )


def _latency(node: Node) -> Latency:
    fields = node.record("runtime", "p50", "p90", "device", "threads", "batch", "repeats")
    return Latency(
        runtime=fields["runtime"].text(),
        p50=fields["p50"].number(),
        p90=fields["p90"].number(),
        device=fields["device"].text(),
        threads=fields["threads"].whole(low=0),
        batch=fields["batch"].whole(low=0),
        repeats=fields["repeats"].whole(low=0),
    )


def _width(node: Node) -> Width:
    fields = node.record(
        "group", "before", "after", "pinned", optional=("asked", "frozen")
    )  # the first reports lack them
    asked = fields.get("asked")
    return Width(
        group=fields["group"].text(),
        before=fields["before"].whole(low=0),
        after=fields["after"].whole(low=0),
        pinned=fields["pinned"].text(),
        asked=None if asked is None or asked.value is None else asked.number(),
        frozen=fields["frozen"].flag() if "frozen" in fields else False,
    )


def _plain(value: Any) -> Any:
    """Numbers that JSON lacks become strings; tuples become lists by themselves."""
    if isinstance(value, float):
        return writable(value)
    if isinstance(value, dict):
        return {name: _plain(x) for name, x in value.items()}
    return [_plain(x) for x in value] if isinstance(value, list | tuple) else value
