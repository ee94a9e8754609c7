"""Sizes, speed and robustness of the `.sct` coder."""
