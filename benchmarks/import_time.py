"""`import secateur` beside `import torch`, in turn, in fresh processes; and what it must not pull in."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7
EXTRAS = ("onnx", "onnxruntime", "jinja2", "typer", "rich", "torchvision", "timm", "transformers", "scipy", "PIL")


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that runs one statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    pairs = [(seconds("import torch"), seconds("import secateur")) for _ in range(RUNS + 1)][1:]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"import torch    {statistics.median(t for t, _ in pairs):.2f} s (median of {RUNS})")
    print(f"import secateur {statistics.median(o for _, o in pairs):.2f} s, {ratio:.2f} x (median of the ratios)")
    code = (
        "import sys, torch; before = set(sys.modules); import secateur; "
        f"print([m for m in {EXTRAS} if m in set(sys.modules) - before])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"extras imported beyond torch's own: {found}")


if __name__ == "__main__":
    main()
