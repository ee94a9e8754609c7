"""One file per method: `error()` is its largest relative difference from an oracle that shares no code with it.

Everything is in float64 and small; names that begin with an underscore are no methods.
"""
