"""Curved variational inference: spherical, hyperbolic and Euclidean latent spaces for single-cell data."""
