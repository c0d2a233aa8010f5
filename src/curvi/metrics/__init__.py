"""Scores of a model: geodesic neighbours, label accuracy, clustering, batch mixing, what is kept in decoding."""

from curvi.metrics._clustering import clustering
from curvi.metrics._confusion import ReconstructionConfusion
from curvi.metrics._knn import KnnPrediction, knn_accuracy, knn_predict
from curvi.metrics._level_shares import LevelShares
from curvi.metrics._mixing import batch_mixing
from curvi.metrics._neighbors import GeodesicNeighbors
from curvi.metrics._reconstruction_confusion import reconstruction_confusion
from curvi.metrics._variance import variance_explained

__all__ = [
    "GeodesicNeighbors",
    "KnnPrediction",
    "LevelShares",
    "ReconstructionConfusion",
    "batch_mixing",
    "clustering",
    "knn_accuracy",
    "knn_predict",
    "reconstruction_confusion",
    "variance_explained",
]
