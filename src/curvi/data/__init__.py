"""From AnnData to minibatches, without any network."""

from curvi.data._fields import BatchLevels, check_columns, host_fields
from curvi.data._loader import CellDataset, CellLoader, EvenBatchSampler, row_blocks

__all__ = [
    "BatchLevels",
    "CellDataset",
    "CellLoader",
    "EvenBatchSampler",
    "check_columns",
    "host_fields",
    "row_blocks",
]
