"""Which search finds the best widths at equal numbers of evaluations: `make bench-search` writes docs/search.md."""
