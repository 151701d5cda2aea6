"""What comes in: arrays, tables, image folders, texts and benchmark sets, all made rows."""

from __future__ import annotations

from fiedler.data.datasets import DATASETS, Dataset, load_dataset
from fiedler.data.encoders import EncoderSpec
from fiedler.data.folder import ImageFolder
from fiedler.data.gradients import gradient_histograms
from fiedler.data.recipe import Source, SourceRecipe
from fiedler.data.source import open_rows
from fiedler.data.text import TextVectorizer

__all__ = [
    "DATASETS",
    "Dataset",
    "EncoderSpec",
    "ImageFolder",
    "Source",
    "SourceRecipe",
    "TextVectorizer",
    "gradient_histograms",
    "load_dataset",
    "open_rows",
]
