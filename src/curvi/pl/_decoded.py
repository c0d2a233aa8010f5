"""Images that a model decodes from latent points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curvi.data import registered_shape, to_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from curvi.model import CurviVAE


def decoded_images(
    model: CurviVAE,
    points: np.ndarray,
    batch: Mapping[str, object] | None,
    continuous: Mapping[str, object] | None,
) -> np.ndarray:
    """The expected images `(n, h, w, c)` at ``points (n, ambient_dim)``.

    Raises
    ------
    ValueError
        If the model was not trained on images, or a level or covariate of the model is not given.
    """
    return to_images(model.decode(points, batch, continuous=continuous), shape=shape_of(model))


def shape_of(model: CurviVAE) -> tuple[int, int, int]:
    """Height, width and channels of the images of a model.

    Raises
    ------
    ValueError
        If it was not trained on images.
    """
    shape = registered_shape(model.registry)
    if shape is None:
        raise ValueError(
            "`model` was not trained on images; make its data with `curvi.data.from_images`, which records their shape."
        )
    return shape
