"""Criteria, repairs and collectors against oracles, and at scale."""
