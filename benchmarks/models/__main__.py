"""`python -m benchmarks.models`: check, look at the peer, take times, write the page."""

from __future__ import annotations

import argparse
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

import secateur
from benchmarks.models import judge
from benchmarks.models.limits import ROOT, Limits
from benchmarks.models.runner import Job, run_all
from benchmarks.models.store import Key, read
from benchmarks.models.zoos import ZOOS, names

OUT = ROOT / "out" / "models"
STEPS = ("check", "peer", "timing", "table")


def main() -> None:
    wanted = options()
    console = Console()
    limits = Limits(wanted.timeout, wanted.memory)
    keys = chosen(wanted.zoo, wanted.only)
    if "check" in wanted.steps:
        job = Job(
            title="masked = shrunk",
            python=sys.executable,
            module="benchmarks.models.check",
            arguments=("--seeds", str(wanted.seeds)),
            limits=limits,
            file=OUT / "results.jsonl",
            extra={"revision": revision()},
            word=judge.word,
        )
        run_all(job, todo(job.file, keys, again=wanted.again), at_once=wanted.jobs, console=console)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-models ARGS=…", description=__doc__)
    parser.add_argument("--zoo", nargs="+", default=["torchvision", "timm", "transformers"], help="beginnings of names")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="models to check, as in a shell")
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    parser.add_argument("--seeds", type=int, default=3, help="plans with random widths per model")
    parser.add_argument("--timeout", type=float, default=120.0, help="CPU seconds per model")
    parser.add_argument("--memory", type=float, default=14.0, help="gigabytes per model")
    parser.add_argument("--jobs", type=int, default=1, help="models at once")
    parser.add_argument("--again", action="store_true", help="check models that have a result, too")
    return parser.parse_args()


def chosen(zoos: list[str], patterns: list[str]) -> list[Key]:
    """The models that were asked for."""
    keys = [(zoo, name) for zoo in ZOOS if zoo.startswith(tuple(zoos)) for name in names(zoo, OUT)]
    return [(zoo, name) for zoo, name in keys if any(fnmatchcase(name, pattern) for pattern in patterns)]


def todo(file: Path, keys: list[Key], *, again: bool) -> list[Key]:
    """The models that have no result yet."""
    done = set() if again else set(read(file))
    return [key for key in keys if key not in done]


def revision() -> str:
    """What was checked: the commit, or the version where there is none."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or secateur.__version__


if __name__ == "__main__":
    main()
