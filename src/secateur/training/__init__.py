"""Training, plain or with a recipe at work: the loop, the session for loops of your own, checkpoints."""

from secateur.training.checkpoint import Checkpoint
from secateur.training.loop import batches_in, train_
from secateur.training.moments import silence_moments_, sliced
from secateur.training.session import Calibration, Session

__all__ = ["Calibration", "Checkpoint", "Session", "batches_in", "silence_moments_", "sliced", "train_"]
