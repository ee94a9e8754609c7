"""The command line: one file per verb."""

from __future__ import annotations


def main() -> None:
    """Entry point of the `secateur` command."""
    from secateur.cli.app import run  # noqa: PLC0415  `import secateur` must not pull in the command line's libraries

    run()


__all__ = ["main"]
