"""Scores of an embedding: geodesic neighbours, label accuracy, clustering and batch mixing."""

from curvi.metrics._clustering import clustering
from curvi.metrics._knn import KnnPrediction, knn_accuracy, knn_predict
from curvi.metrics._mixing import batch_mixing
from curvi.metrics._neighbors import GeodesicNeighbors

__all__ = ["GeodesicNeighbors", "KnnPrediction", "batch_mixing", "clustering", "knn_accuracy", "knn_predict"]
