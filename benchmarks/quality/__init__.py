"""How well methods choose when nothing is trained afterwards: `make bench-quality` writes docs/quality.md."""
