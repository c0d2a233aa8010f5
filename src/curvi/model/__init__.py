"""The model that users meet: AnnData in, embeddings and evidence out."""

from curvi.model._abundance import abundance_log_ratio
from curvi.model._binarization import DynamicBinarization
from curvi.model._callbacks import ModelScore
from curvi.model._model import CurviVAE
from curvi.model._processes import gather_rows
from curvi.model._seed import set_seed

__all__ = ["CurviVAE", "DynamicBinarization", "ModelScore", "abundance_log_ratio", "gather_rows", "set_seed"]
