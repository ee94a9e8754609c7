"""Does the channel graph hold over the public model zoos? `make bench-models` asks, and writes `docs/models.md`.

case.py       what a model under test is: a name, ways to build it, inputs
zoos.py       the zoos, found by listing: torchvision, timm, transformers
architectures.py   small transformers configurations, one line each
check.py      one model through Secateur, in a process of its own
peer.py       the same model through the peer, in a process and an environment of its own
timing.py     what graph, plan, cut and verification cost, beside the peer
runner.py     one process per model, with limits; JSON lines in, JSON lines out
table.py      the page
"""
