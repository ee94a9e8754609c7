"""Channels that go while a ResNet trains, at half the MACs: `make bench-structured` writes docs/structured.md."""
