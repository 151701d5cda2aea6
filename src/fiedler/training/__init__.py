"""One loop for every network: batches, precision, history, checkpoints, several processes."""

from __future__ import annotations

from fiedler.training.checkpoint import Checkpoint
from fiedler.training.codes import Autoencoder, Siamese
from fiedler.training.dual import DualLoss
from fiedler.training.loop import Task, Training, train
from fiedler.training.reader import RowReader, far_offset, outputs_of

__all__ = [
    "Autoencoder",
    "Checkpoint",
    "DualLoss",
    "RowReader",
    "Siamese",
    "Task",
    "Training",
    "far_offset",
    "outputs_of",
    "train",
]
