"""`python -m benchmarks.mnist`: prune LeNets by the papers' methods and our own, judge, write the page; resumable."""

from __future__ import annotations

import argparse
import json

import torch

from benchmarks.mnist.methods import ENTRIES
from benchmarks.mnist.page import PAGE, page
from benchmarks.mnist.run import CHANNELS, RECORDS, records, run

#: Runs with different random numbers.
SEEDS = {"lenet_300_100": 5, "lenet5": 3, f"lenet5{CHANNELS}": 3}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-mnist ARGS=…", description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(ENTRIES), choices=list(ENTRIES))
    parser.add_argument("--nets", nargs="+", default=list(SEEDS), choices=list(SEEDS))
    parser.add_argument("--structured", action="store_true", help="only the table in which channels go")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--choosing", action="store_true", help="train on 55,000, judge on the other 5,000")
    parser.add_argument("--page", action="store_true", help="only write the page")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # averages of gradients that stay away fade into numbers that are slow to compute
    nets = [f"lenet5{CHANNELS}"] if wanted.structured else wanted.nets
    for net in [] if wanted.page else nets:
        for seed in range(SEEDS[net]) if wanted.seeds is None else wanted.seeds:
            for name in [name for name in wanted.only if net in ENTRIES[name].recipe]:
                _one(name, net, seed, choosing=wanted.choosing)
    if not wanted.choosing:
        PAGE.write_text(page(records()))


def _one(name: str, net: str, seed: int, *, choosing: bool) -> None:
    key = {"method": name, "net": net, "seed": seed}
    if not choosing and any(key.items() <= record.items() for record in records()):
        return
    found = run(name, net, seed, choosing=choosing, progress=_progress)
    print(json.dumps(found), flush=True)
    if not choosing:
        with RECORDS.open("a") as file:
            print(json.dumps(found), file=file)


def _progress(what: str, done: int, total: int) -> None:
    if done == total or done % 5000 == 0:
        print(what, done, total, flush=True)


if __name__ == "__main__":
    main()
