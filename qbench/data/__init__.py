"""Data sets: whole, in memory, split once, served in batches by indexing."""

from qbench.data.batches import Batches
from qbench.data.datamodule import TensorDataModule
from qbench.data.sources import DATA, Source, source
from qbench.data.splits import Examples, Splits, stratified

__all__ = ["DATA", "Batches", "Examples", "Source", "Splits", "TensorDataModule", "source", "stratified"]
