"""From names and plain values to the parts of a model: the only place where a name becomes a part."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from curvi.latent import LatentSpace, ProductLatent
from curvi.likelihoods import Likelihood
from curvi.module import VAE
from curvi.nn import Corruption, Layers, Networks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from curvi.data import BatchLevels


def _hidden_widths(
    networks: Networks, n_hidden: int | Sequence[int] | None, n_layers: int | None, argument: str = "n_hidden"
) -> list[int]:
    """The widths of the hidden layers from an integer and a count, the widths themselves, or the networks' own."""
    if n_layers is not None and n_layers < 0:
        raise ValueError(f"`n_layers` is {n_layers}; it must be 0 (a linear network) or more.")
    if n_hidden is None or isinstance(n_hidden, int):
        widths = networks.default_widths(n_layers)
        widths = widths if n_hidden is None else [n_hidden] * len(widths)
    else:
        widths = list(n_hidden)
    if any(width < 1 for width in widths):
        raise ValueError(f"`{argument}` is {n_hidden!r}; each hidden layer needs a width of at least 1.")
    return widths


def build_networks(
    network: str, n_features: int, image_shape: tuple[int, int, int] | None, options: Mapping[str, Any]
) -> Networks:
    """The kind of network that goes by the name ``network``.

    Raises
    ------
    ValueError
        If the name is unknown, or the kind does not take one of the options or does not go with the data.
    """
    kind = Networks.named(network)
    _refuse_foreign(f"network {network!r}", options, kind, ("n_features", "image_shape"))
    # The first two parameters are the contract of every kind.
    make: Callable[..., Networks] = kind
    return make(n_features, image_shape, **options)


def _refuse_foreign(what: str, options: Mapping[str, Any], kind: type, given: Sequence[str]) -> None:
    """Raise if a class takes an option not, or takes it from somebody else than the user."""
    taken = [name for name in signature(kind).parameters if name not in given]
    foreign = [name for name in options if name not in taken]
    if foreign:
        raise ValueError(
            f"{what} does not take {', '.join(map(repr, foreign))}; "
            f"it takes {', '.join(map(repr, taken)) or 'no options'}."
        )


def build_latent(
    latent: str | Sequence[Sequence[Any]], n_latent: int | None, options: Mapping[str, Any]
) -> LatentSpace:
    """The latent space that goes by the name ``latent``, or the product of those in a list.

    Raises
    ------
    ValueError
        If a name is unknown, a dimension is below 1, or an argument does not go with a product.
    """
    if isinstance(latent, str):
        return _named_latent(latent, 2 if n_latent is None else n_latent, options)
    given = [
        name for name, value in {"n_latent": n_latent, "latent_kwargs": options or None}.items() if value is not None
    ]
    if given:
        raise ValueError(
            f"`{given[0]}` was given, but `latent` is a list, whose parts have their own dimensions and options, as in "
            "[('vmf', 2), ('lorentz', 2, {'learn_curvature': True})]; leave it out."
        )
    return ProductLatent([_part(part) for part in latent])


def _part(part: Sequence[Any]) -> LatentSpace:
    if isinstance(part, str) or not 2 <= len(part) <= 3:
        raise ValueError(
            f"`latent` has the part {part!r}; expected a name and a dimension, as in ('vmf', 2), and as a third item "
            "options, if any."
        )
    name, dim, *options = part
    return _named_latent(name, dim, options[0] if options else {})


def _named_latent(name: str, dim: int, options: Mapping[str, Any]) -> LatentSpace:
    kind: type[LatentSpace] = LatentSpace.named(name)
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(f"`n_latent` is {dim!r}; the latent space {name!r} needs a dimension of at least 1.")
    _refuse_foreign(f"latent space {name!r}", options, kind, ("dim",))
    return kind(dim, **options)


def build_likelihood(
    likelihood: str,
    n_features: int,
    levels: BatchLevels,
    options: Mapping[str, Any],
    dispersion_level: str | None,
    *,
    has_size_factor: bool,
) -> Likelihood:
    """The likelihood that goes by the name ``likelihood``.

    Raises
    ------
    ValueError
        If the name or the level is unknown, or the likelihood does not take one of the options or a size factor.
    """
    kind = Likelihood.named(likelihood)
    if dispersion_level is not None:
        options = {**options, "dispersion_level": _level_index(levels, dispersion_level)}
    _refuse_foreign(f"likelihood {likelihood!r}", options, kind, ("n_features", "n_per_level"))
    if has_size_factor:
        if "mean_activation" not in signature(kind).parameters:
            raise ValueError(
                f"`size_factor_key` was set up, but likelihood {likelihood!r} has no size factor; set up without it or "
                "choose a likelihood of counts."
            )
        # A given size factor need not be the cell's total, so that the mean cannot be a share of it.
        options = {"mean_activation": "softplus", **options}
    return kind(n_features, n_per_level=levels.n_per_level, **options)


def build_corruption(corruption: str | None, options: Mapping[str, Any], likelihood: Likelihood) -> Corruption | None:
    """The noise that goes by the name ``corruption``, or none.

    Raises
    ------
    ValueError
        If the name is unknown, or the noise does not take one of the options or does not go with the kind of data.
    """
    if corruption is None:
        if options:
            raise ValueError("`corruption_kwargs` was given without `corruption`; name the noise, as in 'dropout'.")
        return None
    kind: type[Corruption] = Corruption.named(corruption)
    _refuse_foreign(f"corruption {corruption!r}", options, kind, ())
    counts = likelihood.observations.are_counts
    if (counts and not kind.keeps_counts) or (kind.needs_counts and not counts):
        fitting = [
            name
            for name in Corruption.names()
            if (Corruption.named(name).keeps_counts if counts else not Corruption.named(name).needs_counts)
        ]
        raise ValueError(
            f"corruption {corruption!r} does not go with likelihood {likelihood.name!r}, whose data are "
            f"{'counts' if counts else 'real numbers'}; choose one of {', '.join(map(repr, fitting))}."
        )
    return kind(**options)


def build_shrinkage(shrinkage: float | Mapping[str, float] | None, levels: BatchLevels) -> tuple[float, ...]:
    """The precision of the prior on the rows of each level; empty for none at all.

    Raises
    ------
    ValueError
        If a level is unknown, there is none, or a precision is negative or not finite.
    """
    if shrinkage is None:
        return ()
    given = dict(shrinkage) if isinstance(shrinkage, Mapping) else dict.fromkeys(levels.names, shrinkage)
    unknown = [name for name in given if name not in levels.names]
    if unknown or not given:
        known = ", ".join(map(repr, levels.names)) or "none"
        raise ValueError(f"`level_shrinkage` is {shrinkage!r}; the batch levels are {known}.")
    for name, precision in given.items():
        if not isinstance(precision, int | float) or not 0 <= precision < float("inf"):
            raise ValueError(
                f"`level_shrinkage` is {precision!r} for batch level {name!r}; expected 0 (none) or a positive number."
            )
    return tuple(float(given.get(name, 0.0)) for name in levels.names) if any(given.values()) else ()


def _level_index(levels: BatchLevels, name: str) -> int:
    if name not in levels.names:
        known = ", ".join(map(repr, levels.names)) or "none"
        raise ValueError(f"`dispersion_level` is {name!r}, which is not a batch level; the levels are {known}.")
    return levels.names.index(name)


def build_vae(
    *,
    latent: LatentSpace,
    likelihood: Likelihood,
    networks: Networks,
    levels: BatchLevels,
    n_hidden: int | Sequence[int] | None,
    n_layers: int | None,
    n_hidden_decoder: Sequence[int] | None,
    encode_covariates: bool,
    layers: Layers,
    dropout_rate: float,
    corruption: Corruption | None,
    module: Mapping[str, Any],
) -> VAE:
    """Networks that fit the latent space and the likelihood, joined with them in one module.

    Raises
    ------
    ValueError
        If a width is below 1, the number of layers is negative, or the dropout rate lies outside [0, 1).
    """
    if not 0.0 <= dropout_rate < 1.0:
        raise ValueError(f"`dropout_rate` is {dropout_rate}; it must lie in [0, 1).")
    widths = _hidden_widths(networks, n_hidden, n_layers)
    back = (
        widths[::-1]
        if n_hidden_decoder is None
        else _hidden_widths(networks, n_hidden_decoder, None, "n_hidden_decoder")
    )
    blind = layers._replace(n_per_level=(), n_continuous=0)
    return VAE(
        networks.encoder(latent.n_params, widths, layers if encode_covariates else blind, dropout_rate),
        latent,
        networks.decoder(latent.n_coordinates, likelihood.n_params, back, layers),
        likelihood,
        has_batch_level=levels.has_batch_level,
        corruption=corruption,
        **module,
    )
