"""`python -m benchmarks.structured`: prune a ResNet by every method, judge, write the page; resumable."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.structured.methods import ENTRIES, Choice
from benchmarks.structured.page import PAGE, page
from benchmarks.structured.run import CHOOSING, RECORDS, judged, key_of, note, read


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
    """Everything that is tried, with one seed."""
    for choice in ENTRIES[name].tried:
        _once(CHOOSING, name, choice, 0, choosing=True)


def _one(name: str, seed: int) -> None:
    """One row for one seed."""
    _once(RECORDS, name, ENTRIES[name].chosen, seed, choosing=False)


def _once(path: Path, name: str, choice: Choice, seed: int, *, choosing: bool) -> None:
    key = key_of(name, choice, seed)
    if not any(key.items() <= record.items() for record in read(path)):
        note(path, judged(name, choice, seed, choosing=choosing))


if __name__ == "__main__":
    main()
