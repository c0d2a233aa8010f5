"""Counts drawn from a known latent geometry with known batch effects."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from curvi.datasets._shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

_N_WAVES = 128
_LEVELS: Mapping[str, int] = MappingProxyType({"patient": 3, "location": 2})


def synthetic(
    n_obs: int = 1000,
    n_vars: int = 200,
    *,
    shape: str = "sphere",
    n_types: int = 6,
    levels: Mapping[str, int] = _LEVELS,
    signal_strength: float = 1.0,
    batch_strength: float = 0.5,
    mean_library: float = 1000.0,
    inverse_dispersion: float = 10.0,
    seed: int = 0,
) -> AnnData:
    r"""Counts of cells that lie on a sphere, a circle or a tree, measured in several batches.

    A cell with latent coordinates z, batch categories :math:`b_1, b_2, \dots` (one per level) and library size l has

    .. math::
        c_g \sim \operatorname{NB}(\mu_g, \theta), \qquad
        \mu_g = l \operatorname{softmax}_g\!\Big(a_g + \alpha f_g(z) + \beta \sum_k t^{(k)}_{g, b_k}\Big),

    where a and t are standard normal, and each :math:`f_g` is a smooth random function of unit variance: a sum of 128
    random waves, close to a Gaussian process with the squared-exponential kernel of length scale 1. The categories of a
    level are equally frequent, and independent of the latent coordinates and of the other levels.

    Parameters
    ----------
    n_obs
        Number of cells, at least 1.
    n_vars
        Number of genes, at least 1.
    shape
        ``"sphere"``: uniform on the unit sphere in three dimensions; ``"circle"``: uniform on the unit circle;
        ``"tree"``: uniform on a binary tree of ``n_types`` branches of length 1, branch b growing from the tip of
        branch (b - 1) // 2.
    n_types
        Number of cell types: patches of the sphere, arcs of the circle or branches of the tree; at least 1.
    levels
        Batch levels, name -> number of categories; ``{}`` for none.
    signal_strength
        :math:`\alpha \ge 0`, standard deviation of a gene's log mean due to the latent coordinates.
    batch_strength
        :math:`\beta \ge 0`, standard deviation of a gene's log mean due to one level.
    mean_library
        Expected counts per cell, above 0; the cells' library sizes are log-normal around it with a sigma of 0.3.
    inverse_dispersion
        :math:`\theta > 0` in the variance :math:`\mu + \mu^2 / \theta`; ``math.inf`` gives Poisson counts.
    seed
        Of numpy's generator. Latent coordinates, genes, batches and noise draw from streams of their own: a change of
        ``batch_strength`` leaves the geometry, the categories and the library sizes as they were.

    Returns
    -------
    AnnData `(n_obs, n_vars)`:

    - ``.X``: counts, CSR float32.
    - ``.obsm["latent"]``: `(n_obs, 3)` on the sphere, `(n_obs, 2)` on the circle, `(n_obs, n_types)` on the tree, where
      coordinate b is the way walked along branch b (the tree's distance is the sum of absolute differences).
    - ``.obs``: ``cell_type``, ``library``, one categorical per level, and ``longitude`` and ``latitude`` (sphere),
      ``angle`` (circle), or ``branch`` and ``depth``, the distance from the root (tree).
    - ``.varm["shift_<level>"]``: `(n_vars, n_categories)`, the additive shifts :math:`\beta t` of the log mean.

    Raises
    ------
    ValueError
        If the shape is unknown, a number is out of its range, a level has more categories than there are cells, or a
        level's name is taken by another column.

    Examples
    --------
    >>> import curvi
    >>> adata = curvi.datasets.synthetic(n_obs=60, n_vars=30, shape="circle", levels={"patient": 3}, seed=1)
    >>> adata.obsm["latent"].shape, list(adata.obs["patient"].cat.categories)
    ((60, 2), ['patient1', 'patient2', 'patient3'])
    """
    _check(n_obs, n_vars, n_types, signal_strength, batch_strength, mean_library, inverse_dispersion)
    if shape not in SHAPES:
        raise ValueError(f"unknown shape {shape!r}; the known shapes are {', '.join(map(repr, SHAPES))}.")
    latent_rng, gene_rng, level_rng, count_rng = np.random.default_rng(seed).spawn(4)

    latent = SHAPES[shape](n_obs, n_types, latent_rng)
    obs = pd.DataFrame(
        {
            "cell_type": _categorical("type", n_types, latent.cell_type).remove_unused_categories(),
            "library": mean_library * np.exp(0.3 * latent_rng.standard_normal(n_obs) - 0.3**2 / 2),
            **latent.annotation,
        },
        index=pd.Index([f"cell{i}" for i in range(n_obs)]),
    )
    baseline = gene_rng.standard_normal(n_vars)
    log_mean = baseline + signal_strength * _smooth_map(latent.points, n_vars, gene_rng)
    varm = {}
    for level, n_categories in levels.items():
        if level in obs:
            raise ValueError(f"`levels` names {level!r}, a column that is there already; choose another name.")
        if not 1 <= n_categories <= n_obs:
            raise ValueError(f"level {level!r} has {n_categories} categories; it takes 1 to n_obs = {n_obs}.")
        category = level_rng.permutation(np.arange(n_obs) % n_categories)
        shift = batch_strength * level_rng.standard_normal((n_vars, n_categories))
        log_mean += shift[:, category].T
        obs[level] = _categorical(level, n_categories, category)
        varm[f"shift_{level}"] = shift

    counts = _draw_counts(log_mean, obs["library"].to_numpy(), inverse_dispersion, count_rng)
    var = pd.DataFrame(index=pd.Index([f"gene{g}" for g in range(n_vars)]))
    return AnnData(X=counts, obs=obs, var=var, obsm={"latent": latent.points}, varm=varm)


def _check(
    n_obs: int,
    n_vars: int,
    n_types: int,
    signal_strength: float,
    batch_strength: float,
    mean_library: float,
    inverse_dispersion: float,
) -> None:
    """Raise if a number is outside its range."""
    for name, number in {"n_obs": n_obs, "n_vars": n_vars, "n_types": n_types}.items():
        if number < 1:
            raise ValueError(f"`{name}` must be at least 1, got {number}.")
    for name, strength in {"signal_strength": signal_strength, "batch_strength": batch_strength}.items():
        if not 0 <= strength < math.inf:
            raise ValueError(f"`{name}` must be finite and at least 0, got {strength}.")
    if not 0 < mean_library < math.inf:
        raise ValueError(f"`mean_library` must be finite and above 0, got {mean_library}.")
    if not inverse_dispersion > 0:
        raise ValueError(f"`inverse_dispersion` must be above 0 (math.inf for Poisson), got {inverse_dispersion}.")


def _categorical(prefix: str, n_categories: int, code: np.ndarray) -> pd.Categorical:
    """Categories ``prefix1``, ``prefix2``, ... in the order of their numbers."""
    return pd.Categorical.from_codes(code, [f"{prefix}{i + 1}" for i in range(n_categories)])


def _smooth_map(points: np.ndarray, n_vars: int, rng: np.random.Generator) -> np.ndarray:
    """Sums of random cosine waves of the points `(n_obs, n_coordinates)`, one function per gene, `(n_obs, n_vars)`."""
    frequency = rng.standard_normal((points.shape[1], _N_WAVES))
    phase = rng.uniform(0, 2 * np.pi, _N_WAVES)
    waves = np.sqrt(2 / _N_WAVES) * np.cos(points @ frequency + phase)
    return waves @ rng.standard_normal((_N_WAVES, n_vars))


def _draw_counts(
    log_mean: np.ndarray, library: np.ndarray, inverse_dispersion: float, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Negative binomial counts `(n_obs, n_vars)` as CSR float32; Poisson for an infinite inverse dispersion."""
    mean = np.exp(log_mean - log_mean.max(axis=1, keepdims=True))
    mean *= library[:, None] / mean.sum(axis=1, keepdims=True)
    if math.isfinite(inverse_dispersion):
        mean *= rng.gamma(inverse_dispersion, 1 / inverse_dispersion, mean.shape)
    return sparse.csr_matrix(rng.poisson(mean), dtype=np.float32)
