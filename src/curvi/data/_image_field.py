"""The shape of images as a field of the host library's registry: saved with a model and checked against new data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scvi.data.fields import BaseAnnDataField

from curvi.data._loader import IMAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

_NAMES = ("height", "width", "channels")


class ImageField(BaseAnnDataField):
    """The height, width and channels that :func:`from_images` records in ``.uns``, where there are any.

    Nothing of it is loaded in minibatches.
    """

    registry_key = "images"
    attr_name = "uns"
    attr_key = IMAGES
    is_empty = False

    def validate_field(self, adata: AnnData) -> None:
        """Any data will do."""

    def register_field(self, adata: AnnData) -> dict[str, int]:
        """The record of ``adata`` in plain integers, empty where there is none."""
        record = adata.uns.get(IMAGES)
        return {} if record is None else {name: int(record[name]) for name in _NAMES}

    def transfer_field(self, state_registry: dict[str, int], adata_target: AnnData, **kwargs: Any) -> dict[str, int]:
        """The record of the model, which that of ``adata_target`` must not contradict.

        Raises
        ------
        ValueError
            If its images have another shape than the model's.
        """
        given = self.register_field(adata_target)
        if given and state_registry and given != state_registry:
            raise ValueError(
                f"`adata` has images of {_listed(given)}; those of the model have {_listed(state_registry)}. Resize "
                "them with `curvi.data.from_images(..., size=...)`."
            )
        return state_registry

    def get_data_registry(self) -> dict[str, str]:
        """Empty: there is nothing to load."""
        return {}

    def get_summary_stats(self, state_registry: dict[str, int]) -> dict[str, int]:
        """None."""
        return {}

    def view_state_registry(self, state_registry: dict[str, int]) -> None:
        """Nothing to view."""


def registered_shape(registry: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Height, width and channels of the images that a registry of the host library describes; None for other data."""
    state = registry["field_registries"].get(ImageField.registry_key, {}).get("state_registry")
    return (state["height"], state["width"], state["channels"]) if state else None


def _listed(record: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {record[name]}" for name in _NAMES)
