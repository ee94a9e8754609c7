"""Training, plain: the loop that fine-tunes what a plan leaves."""

from secateur.training.loop import train_

__all__ = ["train_"]
