"""`python -m benchmarks.deep`: Deep Compression's table and the smallest files; writes docs/deep.md; resumable."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.deep import best, han, mobilenet
from benchmarks.deep.page import PAGE, page

RECORDS = Path(__file__).with_name("records.jsonl")
#: Runs with different random numbers.
SEEDS = {"lenet_300_100": 5, "lenet5": 3}
Rows = Callable[[str, int], Iterator[dict[str, Any]]]


def _best(net: str, seed: int) -> Iterator[dict[str, Any]]:
    yield from best.rows(net, seed, progress=_progress)


def _mobilenet(_: str, seed: int) -> Iterator[dict[str, Any]]:
    how = mobilenet.Settings(seed=seed)
    for row in mobilenet.rows(how):
        yield {**asdict(how), **row, "bits": row["bits"]}


PARTS: dict[str, Rows] = {"han": han.rows, "best": _best, "mobilenet": _mobilenet}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-deep ARGS=…", description=__doc__)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--nets", nargs="+", default=list(SEEDS), choices=list(SEEDS))
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--choosing", action="store_true", help="smallest files only: train on 55,000, judge on 5,000")
    parser.add_argument("--page", action="store_true", help="only write the page")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    if wanted.choosing:
        for net, seed in product(wanted.nets, wanted.seeds or [0]):
            for row in best.rows(net, seed, choosing=True, progress=_progress):
                print(json.dumps({"net": net, "seed": seed, **row}), flush=True)
        return
    for part in [] if wanted.page else wanted.parts:
        for net in wanted.nets if part != "mobilenet" else ["mobilenet_v2"]:
            for seed in wanted.seeds or range(SEEDS.get(net, 1)):
                _one(part, net, seed)
    PAGE.write_text(page(records()))


def records() -> list[dict[str, Any]]:
    """Everything that was found."""
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def _one(part: str, net: str, seed: int) -> None:
    key = {"part": part, "net": net, "seed": seed}
    if any(key.items() <= record.items() for record in records()):
        return
    found = []
    for row in PARTS[part](net, seed):
        found.append(json.dumps({**key, **row}))
        print(found[-1], flush=True)
    with RECORDS.open("a") as file:  # all of it or nothing
        file.writelines(f"{line}\n" for line in found)


def _progress(what: str, done: int, total: int) -> None:
    if done == total or done % 5000 == 0:
        print(what, done, total, flush=True)


if __name__ == "__main__":
    main()
