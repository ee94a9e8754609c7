"""`python -m benchmarks.structured`: prune a ResNet by every method, judge, write the page; resumable."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.structured.methods import ENTRIES
from benchmarks.structured.page import PAGE, page
from benchmarks.structured.run import CHOOSING, RECORDS, judged, note, read


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-structured ARGS=…", description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(ENTRIES), choices=list(ENTRIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--choosing", action="store_true", help="try figures with seed 0, judge on held-out images")
    parser.add_argument("--page", action="store_true", help="only write the page")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # averages of gradients that stay away fade into numbers that are slow to compute
    if wanted.choosing:
        for name in wanted.only:
            _choose(name)
    elif not wanted.page:
        for seed in wanted.seeds:
            for name in wanted.only:
                _one(name, seed)
    PAGE.write_text(page(read(RECORDS), read(CHOOSING)))


def _choose(name: str) -> None:
    """Every value that is tried, with one seed."""
    for value in ENTRIES[name].tried:
        _once(CHOOSING, name, value, 0, choosing=True)


def _one(name: str, seed: int) -> None:
    """One row for one seed."""
    _once(RECORDS, name, ENTRIES[name].chosen, seed, choosing=False)


def _once(path: Path, name: str, value: float, seed: int, *, choosing: bool) -> None:
    key = {"method": name, "value": value, "seed": seed}
    if not any(key.items() <= record.items() for record in read(path)):
        note(path, judged(name, value, seed, choosing=choosing))


if __name__ == "__main__":
    main()
