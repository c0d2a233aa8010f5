"""Between latent points and data, without cells: decode, encode, and draw from the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scvi import settings
from torch import Size, Tensor

from curvi.data import as_keys
from curvi.model._registration import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Mapping


class DecodingMixin(RegisteredModel):
    """Methods of :class:`curvi.CurviVAE` that take latent points or plain arrays."""

    @torch.inference_mode()
    def decode(
        self,
        z: np.ndarray | Tensor,
        batch: Mapping[str, Any] | None = None,
        *,
        continuous: Mapping[str, Any] | None = None,
        library_size: float | np.ndarray = 1.0,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """The expected data at latent points.

        Parameters
        ----------
        z
            Points on :attr:`manifold`, ``(..., ambient_dim)``.
        batch
            For each batch level its category, ``{level: category}``, or one category a point, ``(...)``.
        continuous
            For each continuous covariate its value, or one value a point, ``(...)``.
        library_size
            The total that the counts of a cell are expected to have, positive, or one a point, ``(...)``. Real values
            have none.
        batch_size
            Points a pass; the host's ``settings.batch_size`` by default.

        Returns
        -------
        Means ``(..., n_features)``, in the precision of the model.

        Raises
        ------
        ValueError
            If the points do not lie on the manifold, or a level, a category, a covariate or a size is missing or wrong.

        Examples
        --------
        >>> import curvi
        >>> adata = curvi.datasets.synthetic(n_obs=100, n_vars=20, levels={"patient": 2})
        >>> curvi.CurviVAE.setup_anndata(adata, batch_key="patient")
        >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2)
        >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
        >>> patient = adata.obs["patient"].iloc[0]
        >>> model.decode(model.sample_prior(5, seed=0), {"patient": patient}).shape
        (5, 20)
        """
        self._check_if_trained(warn=False)
        points = _as_tensor(z)
        if not points.is_floating_point():
            points = points.to(torch.float64)
        inside, reason = self.manifold.contains(points.cpu())
        if not inside:
            raise ValueError(f"`z` does not lie on {self.manifold}: {reason}")
        shape = points.shape[:-1]
        sizes = torch.from_numpy(_spread("library_size", library_size, shape, np.float64))
        if not bool((sizes > 0).all()) or not bool(torch.isfinite(sizes).all()):
            raise ValueError(f"`library_size` is {library_size!r}; it must be positive and finite.")
        inputs = {
            # What the cast to the model's precision takes from a point, the projection gives back.
            "z": self.manifold.project(
                points.reshape(-1, self.manifold.ambient_dim).to(self.device, self.module.dtype)
            ),
            "size_factor": sizes[:, None].to(self.module.dtype),
            "levels": self._codes(batch, shape),
            "continuous": self._values(continuous, shape),
        }
        means = [self.module.generative(**part)["px"].mean.cpu() for part in _passes(inputs, batch_size)]
        return torch.cat(means).reshape(*shape, self.module.likelihood.n_features).numpy()

    @torch.inference_mode()
    def encode(
        self,
        x: np.ndarray | Tensor,
        batch: Mapping[str, Any] | None = None,
        *,
        continuous: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """The locations of the posteriors of plain data, expected counts included.

        Parameters
        ----------
        x
            Data ``(..., n_features)``, finite; counts need not be whole.
        batch, continuous
            As in :meth:`decode`; an encoder that does not read the batch levels needs no ``batch``.
        batch_size
            Cells a pass; the host's ``settings.batch_size`` by default.

        Returns
        -------
        Points ``(..., ambient_dim)`` on :attr:`manifold`.

        Raises
        ------
        ValueError
            If the data have another number of features or are not finite, or a level, a category or a covariate is
            missing or wrong.
        """
        self._check_if_trained(warn=False)
        features = _as_tensor(x).to(self.module.dtype)
        n_features = self.module.likelihood.n_features
        if features.ndim == 0 or features.shape[-1] != n_features or not bool(torch.isfinite(features).all()):
            raise ValueError(
                f"`x` has shape {tuple(features.shape)}; expected (..., {n_features}), finite numbers in the order of "
                "`model.get_var_names()`."
            )
        shape = features.shape[:-1]
        reads_levels = self.encode_covariates or batch is not None
        inputs = {
            "x": features.reshape(-1, n_features),
            "levels": self._codes(batch, shape) if reads_levels else self._no_codes(shape),
            "continuous": self._values(continuous, shape),
        }
        latent = self.module.latent
        found = [latent.location(self.module.inference(**part)["qz"]).cpu() for part in _passes(inputs, batch_size)]
        return torch.cat(found).reshape(*shape, self.manifold.ambient_dim).numpy()

    @torch.inference_mode()
    def sample_prior(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """Points drawn from the prior, ``(n, ambient_dim)``; :meth:`decode` turns them into data.

        Parameters
        ----------
        n
            How many, at least 1.
        seed
            Of these draws alone; None goes on with torch's global generator, which :func:`curvi.model.set_seed` sets.

        Raises
        ------
        ValueError
            If ``n`` is below 1, or the latent space has no prior, as a plain autoencoder's.
        """
        if n < 1:
            raise ValueError(f"`n` is {n}; it must be at least 1.")
        if not self.module.latent.has_prior:
            raise ValueError(
                f"latent={self.module.latent.name!r} has no prior to draw from; decode points near encoded cells."
            )
        device = self.module.device
        with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            return self.module.latent.prior().sample(Size([n])).cpu().numpy()

    def _codes(self, batch: Mapping[str, Any] | None, shape: Size) -> Tensor:
        """The codes ``(n, n_levels)`` of categories that were given by the names of their levels."""
        given, levels = dict(batch or {}), self._levels
        _check_names("batch", "batch level", given, levels.names)
        columns = []
        for level, known in levels.categories.items():
            values = _spread("batch", given[level], shape, object).tolist()
            unknown = [value for value in values if value not in known]
            if unknown:
                raise ValueError(
                    f"`batch` has {unknown[0]!r} for batch level {level!r}; its categories are "
                    f"{', '.join(map(repr, known))}."
                )
            columns.append(torch.tensor([known.index(value) for value in values], dtype=torch.int64))
        return torch.stack(columns, 1) if columns else self._no_codes(shape)

    def _no_codes(self, shape: Size) -> Tensor:
        """Codes ``(n, n_levels)`` that nothing reads."""
        return torch.zeros(shape.numel(), len(self._levels.names), dtype=torch.int64)

    def _values(self, continuous: Mapping[str, Any] | None, shape: Size) -> Tensor | None:
        """The continuous covariates ``(n, n_continuous)``, in the order of their registration."""
        keys = as_keys(self.registry["setup_args"]["continuous_covariate_keys"])
        given = dict(continuous or {})
        _check_names("continuous", "continuous covariate", given, keys)
        if not keys:
            return None
        columns = [_spread("continuous", given[key], shape, np.float64) for key in keys]
        return torch.from_numpy(np.stack(columns, 1)).to(self.module.dtype)


def _check_names(argument: str, kind: str, given: Mapping[str, Any], known: list[str]) -> None:
    """Raise unless exactly the known names are given."""
    listed = ", ".join(map(repr, known)) or "none"
    for name in given:
        if name not in known:
            raise ValueError(f"`{argument}` names {name!r}, which is no {kind} of the model; it has {listed}.")
    for name in known:
        if name not in given:
            raise ValueError(
                f"`{argument}` has nothing for the {kind} {name!r}; the decoder reads it, so pass "
                f"`{argument}={{{name!r}: ...}}`."
            )


def _spread(argument: str, value: Any, shape: Size, dtype: type) -> np.ndarray:
    """A value, or one a point, as ``(n,)``."""
    given: np.ndarray = np.asarray(value, dtype=dtype)
    if given.shape not in ((), tuple(shape)):
        raise ValueError(
            f"`{argument}` has values of shape {given.shape}; expected one, or one a point, {tuple(shape)}."
        )
    return np.broadcast_to(given, shape).reshape(-1).copy()


def _as_tensor(rows: np.ndarray | Tensor) -> Tensor:
    """An array, which may be read-only, or a tensor, as a tensor."""
    return rows if isinstance(rows, Tensor) else torch.tensor(np.asarray(rows))


def _passes(inputs: Mapping[str, Tensor | None], batch_size: int | None) -> list[dict[str, Tensor | None]]:
    """Tensors that go together, cut into passes of at most ``batch_size`` rows; nothing stays nothing."""
    size = settings.batch_size if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"`batch_size` is {size}; it must be at least 1.")
    n = max(len(value) for value in inputs.values() if value is not None)
    return [
        {name: None if value is None else value[first : first + size] for name, value in inputs.items()}
        for first in range(0, max(n, 1), size)
    ]
