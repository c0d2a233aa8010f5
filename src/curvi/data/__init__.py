"""From images to AnnData and from AnnData to minibatches, without any network."""

from curvi.data._fields import BatchLevels, as_keys, check_columns, check_genes, host_fields
from curvi.data._image_field import ImageField, registered_shape
from curvi.data._images import from_images, image_shape, to_images
from curvi.data._layers import layer_names
from curvi.data._loader import (
    CellDataset,
    CellLoader,
    EvenBatchSampler,
    cells_a_pass,
    level_free_loader,
    suits_sparse,
    value_blocks,
)
from curvi.data._minified import (
    lacks_values,
    minified_copy,
    minified_fields,
    minified_record,
    minified_type,
    posterior_columns,
)
from curvi.data._nesting import nesting
from curvi.data._registry import from_data_module, make_registry
from curvi.data._resident import PLACES, ResidentCells, hold
from curvi.data._shares import EvenDistributedSampler

__all__ = [
    "BatchLevels",
    "CellDataset",
    "CellLoader",
    "EvenBatchSampler",
    "EvenDistributedSampler",
    "ImageField",
    "PLACES",
    "ResidentCells",
    "as_keys",
    "cells_a_pass",
    "check_columns",
    "check_genes",
    "from_data_module",
    "from_images",
    "hold",
    "host_fields",
    "image_shape",
    "lacks_values",
    "layer_names",
    "level_free_loader",
    "make_registry",
    "minified_copy",
    "minified_fields",
    "minified_record",
    "minified_type",
    "posterior_columns",
    "nesting",
    "registered_shape",
    "suits_sparse",
    "to_images",
    "value_blocks",
]
