"""Scores, a budget and an allocation in; a plan out."""

from secateur.planning.plan import Constraints, plan
from secateur.planning.score import score

__all__ = ["Constraints", "plan", "score"]
