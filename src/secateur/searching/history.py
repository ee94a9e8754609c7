"""What came of a search, as files: plan, every candidate, and who was best when."""

from __future__ import annotations

import csv
import io
import json
from itertools import accumulate
from pathlib import Path
from typing import Any

from secateur.files import save_plan
from secateur.files.atomic import write_text
from secateur.searching.verb import Searched


def best_so_far(found: Searched) -> list[float]:
    """After every candidate the highest quality of those that fit the budget; minus infinity before the first."""
    return list(accumulate((t.quality if t.fits else float("-inf") for t in found.history), max))


def history_csv(found: Searched) -> str:
    """One line for every candidate: number, quality, best so far, cost, whether it fits, units of every block."""
    text = io.StringIO()
    blocks = list(found.history[0].counts)
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["number", "quality", "best so far", "spent", "fits", "known", *blocks])
    for trial, best in zip(found.history, best_so_far(found), strict=True):
        kept = [trial.counts[name] for name in blocks]
        lines.writerow([trial.number, trial.quality, best, trial.spent, trial.fits, trial.known, *kept])
    return text.getvalue()


def summary(found: Searched) -> dict[str, Any]:
    """The outcome in figures, for JSON."""
    origin = found.plan.provenance
    return {
        "schema": 1,
        "search": found.how,
        "budget": origin.budget,
        "reached": origin.reached,
        "criterion": origin.criterion,
        "seed": origin.seed,
        "quality": found.quality,
        "dense": found.dense,
        "evaluations": len(found.history),
        "different": len({tuple(t.counts.values()) for t in found.history}),
        "seconds": found.seconds,
        "broken_off": found.broken_off,
        "best": {"number": found.best.number, "counts": dict(found.best.counts)},
        "plan": found.plan.digest(),
    }


def write_searched(found: Searched, folder: Path) -> tuple[Path, ...]:
    """Write plan.json, history.csv and search.json into `folder`, each as a whole or not at all."""
    save_plan(found.plan, folder / "plan.json")
    text = json.dumps(summary(found), indent=2) + "\n"
    return (
        folder / "plan.json",
        write_text(folder / "history.csv", history_csv(found)),
        write_text(folder / "search.json", text),
    )
