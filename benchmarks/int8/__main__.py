"""`python -m benchmarks.int8`: MobileNetV2 in few bits; writes docs/int8.md. What is done already is kept."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.int8.page import PAGE, page
from benchmarks.int8.steps import rounded, runtime, simulated, timing, weights
from benchmarks.int8.subject import CALIBRATION, Subject, subject

RECORDS = Path(__file__).with_name("records.jsonl")
STEPS: dict[str, Callable[[Subject, int], Iterator[dict[str, Any]]]] = {
    "onnxruntime": partial(runtime, which="onnxruntime"),
    "openvino": partial(runtime, which="openvino"),
    "onnxruntime timing": partial(timing, which="onnxruntime"),
    "openvino timing": partial(timing, which="openvino"),
    "weights": weights,
    "simulated": simulated,
    "rounded": rounded,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-int8 ARGS=…", description=__doc__)
    parser.add_argument("--steps", nargs="+", default=[*STEPS, "page"], choices=[*STEPS, "page"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--here", action="store_true", help="run the steps in this process")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    for step in [step for step in wanted.steps if step != "page"]:
        for seed in wanted.seeds:
            if any((r["step"], r["seed"]) == (step, seed) for r in records()):
                continue
            if wanted.here:
                _run(step, seed)
            else:  # one runtime in a process
                command = [sys.executable, "-m", "benchmarks.int8", "--here", "--steps", step, "--seeds", str(seed)]
                subprocess.run(command, check=True)
    if "page" in wanted.steps:
        PAGE.write_text(page(records(), len(subject(0).photos), CALIBRATION))


def records() -> list[dict[str, Any]]:
    """Everything that was found."""
    return [json.loads(line) for line in RECORDS.read_text().splitlines()] if RECORDS.exists() else []


def _run(step: str, seed: int) -> None:
    found = []
    for record in STEPS[step](subject(seed), seed):
        found.append(json.dumps({"step": step, "seed": seed, **record}))
        print(found[-1], flush=True)
    with RECORDS.open("a") as file:  # all of a step or nothing
        file.writelines(f"{line}\n" for line in found)


if __name__ == "__main__":
    main()
