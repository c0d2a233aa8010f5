"""A slider for each dimension of a latent space, and the image that is decoded there."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from anndata import AnnData
from PIL import Image

from curvi.data import BatchLevels, as_keys
from curvi.manifolds import from_config
from curvi.pl._chart import chart
from curvi.pl._color import listed
from curvi.pl._controls import make_controls, move, nearest_step
from curvi.pl._decoded import decoded_images, shape_of
from curvi.pl._mosaic import ImageStyle
from curvi.pl._pixels import as_bytes, enlarged, enlargement
from curvi.pl._places import Places, embedded_points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.colors import Colormap

    from curvi.manifolds import Manifold
    from curvi.model import CurviVAE
    from curvi.pl._chart import Chart
    from curvi.pl._controls import Controls
    from curvi.pl._places import Place

# The part of the data and of the prior that is left out beyond each end of a slider.
_TAIL = 0.005
# So many draws from the prior say how far it goes, and so many points where their mean is.
_ENOUGH = 1000


class Sliders:
    """What :func:`sliders` gives: a widget, which a notebook shows, and the point that it stands at.

    Attributes
    ----------
    controls
        Its parts, widgets of ipywidgets: the ``sliders`` of the coordinates by their names, the lists of the ``levels``
        and the fields of the ``continuous`` covariates by theirs, the number of a ``row`` of the data, the buttons
        ``random`` and ``reset``, the ``image``, and ``all`` of them together.
    point
        The point `(ambient_dim,)` on the manifold of the model; :meth:`go` moves to another.
    """

    def __init__(
        self,
        model: CurviVAE,
        manifold: Manifold,
        controls: Controls,
        look: tuple[ImageStyle, int],
        data: np.ndarray,
        start: np.ndarray,
        seed: int | None,
    ) -> None:
        self.controls = controls
        self._model, self._manifold, self._chart = model, manifold, chart(manifold)
        self._style, self._times = look
        # The last row is what -1 means.
        self._places = np.concatenate([data, start[None]])
        self._home = start
        self._rng = np.random.default_rng(seed)
        self._moving = False
        self._at: list[tuple[float, float]] = []
        self.go(start)
        for part in (*controls.sliders.values(), *controls.levels.values(), *controls.continuous.values()):
            part.observe(lambda _: self._draw(), names="value")
        if controls.row is not None:
            controls.row.observe(lambda change: self._start_at(change["new"]), names="value")
        if controls.random is not None:
            controls.random.on_click(lambda _: self.go(self._drawn()))
        controls.reset.on_click(lambda _: self.go(self._home))

    @property
    def point(self) -> np.ndarray:
        """The point `(ambient_dim,)` that the sliders stand at, float64."""
        # A browser moves sliders to whole steps; what was not moved further is still where it was sent to.
        values = [
            exact if abs(slider.value - step) < 1e-6 * slider.step else slider.value
            for slider, (step, exact) in zip(self.controls.sliders.values(), self._at, strict=True)
        ]
        return self._chart.points(torch.tensor(values, dtype=torch.float64)).numpy()

    def go(self, point: np.ndarray) -> None:
        """Move the sliders to a point `(ambient_dim,)`.

        Raises
        ------
        ValueError
            If it is no point of the manifold.
        """
        row = torch.from_numpy(np.array(point, dtype=np.float64))
        inside, reason = self._manifold.contains(row)
        if not inside or row.ndim != 1:
            raise ValueError(f"`point` is not a point of {self._manifold}: {reason or 'it is more than one.'}")
        sliders, values = self.controls.sliders.values(), self._chart.coordinates(row).tolist()
        self._moving = True
        try:
            for slider, value in zip(sliders, values, strict=True):
                move(slider, value)
            self._at = [(nearest_step(slider), value) for slider, value in zip(sliders, values, strict=True)]
        finally:
            self._moving = False
        self._draw()

    def _start_at(self, row: int) -> None:
        """Move to an image of the data, to which the button for it will lead back."""
        self._home = self._places[row]
        self.go(self._home)

    def _drawn(self) -> np.ndarray:
        """A point `(ambient_dim,)` drawn from the prior."""
        return self._model.sample_prior(1, seed=int(self._rng.integers(2**31)))[0]

    def _draw(self) -> None:
        """Show what the present point decodes to, once all sliders stand where they should."""
        if self._moving:
            return
        batch = {name: part.value for name, part in self.controls.levels.items()}
        continuous = {name: part.value for name, part in self.controls.continuous.items()}
        (tile,) = as_bytes(self._style.tiles(decoded_images(self._model, self.point[None], batch, continuous)))
        picture = BytesIO()
        Image.fromarray(enlarged(tile, self._times)).save(picture, "PNG")
        self.controls.image.value = picture.getvalue()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """As a notebook asks of all that it shows."""
        return self.controls.all._repr_mimebundle_(**kwargs)


def sliders(
    model: CurviVAE,
    adata: AnnData | None = None,
    base: Place | None = None,
    *,
    basis: str = "X_curvi",
    seed: int | None = 0,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, float] | None = None,
    scale: int | None = None,
    channel: int | None = None,
    cmap: str | Colormap = "gray",
    vmin: float = 0.0,
    vmax: float = 1.0,
) -> Sliders:
    """A widget for notebooks: a slider for each dimension of the latent space, and the expected image there.

    The sliders reach every point. In flat and in hyperbolic space they are the tangent coordinates at the origin,
    ``z0``, ``z1``, ..., as in :func:`curvi.explore.activations`, from where to where the data and the prior have 99 %
    of their points; a point beyond makes them longer. On a sphere they are angles in degrees: the longitude and the
    latitude of :func:`curvi.pl.map`, and on a sphere of more dimensions a further latitude for each: the height above
    an equator that is itself the sphere of one dimension less. In a product each part has its own.

    Buttons draw a point from the prior and lead back to the start; there are a list for each batch level of the model,
    a field for each continuous covariate, and one for the number of an image of the data to start from.

    Parameters
    ----------
    model
        A model trained on images.
    adata
        Data with an embedding; by default that of the model. If it has none in ``basis``, the prior alone says how far
        the sliders go.
    base
        Where to start: an image of the data by its number or name, (column, category) for the mean of a category, or a
        point `(ambient_dim,)`. By default the Frechet mean of the data (of 1000 points at most), or the origin where
        there are no data or they have no single mean.
    basis
        Key of ``adata.obsm``, points `(n_obs, ambient_dim)`.
    seed
        Of the draws from the prior; None for others each time.
    batch
        The category of each batch level to begin with; by default the first.
    continuous
        The value of each continuous covariate to begin with; by default its mean in the data.
    scale
        How many pixels wide and high each pixel is drawn; by default as many as make the longer side of an image 200
        or more.
    channel, cmap, vmin, vmax
        As in :func:`curvi.pl.images`.

    Returns
    -------
    The widget: the last line of a cell shows it. Its ``point`` is where it stands.

    Raises
    ------
    ValueError
        If the model was not trained on images, has neither an embedding nor a prior, there is no such place, category
        or covariate, or an argument is out of its range.
    ImportError
        If ipywidgets is not installed, which ``pip install 'curvi[notebook]'`` does.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> model.embed()
    >>> panel = curvi.pl.sliders(model, base=("label", "3"))
    >>> panel.controls.sliders["longitude"].value = 90.0
    >>> panel.controls.sliders["latitude"].value = 0.0
    >>> panel.point.round(4) + 0.0
    array([0., 1., 0.])
    """
    look = ImageStyle(channel, cmap, vmin, vmax, size=1.0), enlargement(shape_of(model), scale)
    found = model.adata if adata is None else adata
    # The same manifold on the CPU, in float64 and without gradients.
    manifold = from_config(model.manifold.config()).requires_grad_(False).double()
    given = found if found is not None and (adata is not None or basis in found.obsm) else None
    data = _points(given, basis, manifold)
    has_prior = model.module.latent.has_prior
    if not has_prior and not len(data):
        raise ValueError(
            f"latent={model.module.latent.name!r} has no prior and there is no embedding in {basis!r} to say how far "
            "sliders should go; write it with `model.embed()`."
        )
    prior = model.sample_prior(_ENOUGH, seed=0) if has_prior else data[:0]
    levels = BatchLevels.from_registry(model.registry).categories
    keys = as_keys(model.registry["setup_args"]["continuous_covariate_keys"])
    controls = make_controls(
        _ranges(chart(manifold), [data, prior]),
        levels,
        _first_categories(levels, batch or {}),
        _first_values(keys, continuous or {}, found),
        len(data),
        has_prior=has_prior,
    )
    return Sliders(model, manifold, controls, look, data, _start(base, given, data, manifold), seed)


def _points(adata: AnnData | None, basis: str, manifold: Manifold) -> np.ndarray:
    """The embedding `(n_obs, ambient_dim)` of some data, float64; no rows without data."""
    if adata is None:
        return np.empty((0, manifold.ambient_dim))
    points = embedded_points(adata, basis)
    inside, reason = manifold.contains(torch.from_numpy(points))
    if not inside:
        raise ValueError(f"`adata.obsm[{basis!r}]` does not lie on the manifold of the model, {manifold}: {reason}")
    return points


def _ranges(chart: Chart, samples: list[np.ndarray]) -> dict[str, tuple[float, float]]:
    """From where to where the slider of each coordinate goes."""
    ends = []
    for points in samples:
        if len(points):
            coordinates = chart.coordinates(torch.from_numpy(points).double()).numpy()
            ends.append(np.quantile(coordinates, [_TAIL, 1 - _TAIL], axis=0))
    low, high = np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]
    # Where all points are one, a slider still needs two ends.
    room = np.where(high > low, 0.05 * (high - low), 1.0)
    reached = zip(chart.names, chart.ends, (low - room).tolist(), (high + room).tolist(), strict=True)
    return {name: (left, right) if fixed is None else fixed for name, fixed, left, right in reached}


def _first_categories(levels: Mapping[str, Sequence[Any]], batch: Mapping[str, object]) -> dict[str, Any]:
    """The category of each level to begin with."""
    for name, category in batch.items():
        if category not in levels.get(name, ()):
            known = f"the categories {listed(levels[name])}" if name in levels else f"the levels {listed(levels)}"
            raise ValueError(f"`batch` has {category!r} for batch level {name!r}; the model has {known}.")
    return {name: batch.get(name, known[0]) for name, known in levels.items()}


def _first_values(keys: list[str], given: Mapping[str, float], adata: AnnData | None) -> dict[str, float]:
    """The value of each continuous covariate to begin with."""
    for name in given:
        if name not in keys:
            raise ValueError(f"`continuous` names {name!r}; the continuous covariates of the model are {listed(keys)}.")
    values = dict(given)
    for key in keys:
        if key not in given:
            if adata is None or key not in adata.obs:
                raise ValueError(f"`continuous` has nothing for {key!r} and there are no data to take its mean from.")
            values[key] = float(adata.obs[key].mean())
    return values


def _start(base: Place | None, adata: AnnData | None, data: np.ndarray, manifold: Manifold) -> np.ndarray:
    """The point `(ambient_dim,)` to start at."""
    if base is not None:
        if adata is None and (isinstance(base, int | str | np.integer) or isinstance(base[0], str)):
            raise ValueError(f"`base` is {base!r}, but there is no embedding; write it with `model.embed()`.")
        return Places(AnnData() if adata is None else adata, data, manifold, ()).find("base", base)[0]
    if len(data):
        some = data[np.linspace(0, len(data) - 1, min(len(data), _ENOUGH)).astype(int)]
        try:
            return manifold.mean(torch.from_numpy(some)).numpy()
        except ValueError:
            # Points that lie evenly all around a sphere have no mean.
            pass
    return manifold.origin.double().numpy()
