"""The model that users meet: AnnData in, embeddings and evidence out."""

from curvi.model._model import CurviVAE

__all__ = ["CurviVAE"]
