"""Scores, a budget and an allocation in, or your own hand; a plan out."""

from secateur.planning.by_hand import plan_by_hand
from secateur.planning.decide import decide
from secateur.planning.plan import Constraints, Prepared, plan, prepare
from secateur.planning.score import score

__all__ = ["Constraints", "Prepared", "decide", "plan", "plan_by_hand", "prepare", "score"]
