"""Carrying out a search: what is tried, what is remembered, what comes of it."""

from secateur.searching.memory import Found, Journal, Memory, Store
from secateur.searching.sensitivity import Sensitivities, sensitivity
from secateur.searching.study import Study
from secateur.searching.verb import Searched, SearchRun, search, search_graph

__all__ = [
    "Found",
    "Journal",
    "Memory",
    "SearchRun",
    "Searched",
    "Sensitivities",
    "Store",
    "Study",
    "search",
    "search_graph",
    "sensitivity",
]
