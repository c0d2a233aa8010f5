"""Whether a classifier that has learned from pictures also knows them in what a model makes of them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier

from curvi.data import as_keys, value_blocks
from curvi.metrics._balance import fit_balanced
from curvi.metrics._confusion import ReconstructionConfusion, confusion
from curvi.metrics._inputs import categories, embedding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from curvi.model import CurviVAE


def reconstruction_confusion(
    model: CurviVAE,
    adata: AnnData,
    label_key: str,
    *,
    split_key: str = "split",
    train: str | Sequence[str] = "train",
    test: str | Sequence[str] = "test",
    group_key: str | None = None,
    use_rep: str | None = None,
    classifier: Any = None,
    balance: str | None = "weights",
    n_samples: int = 100,
    seed: int = 0,
) -> ReconstructionConfusion:
    r"""Train a classifier on originals, and let it judge held-out originals, their reconstructions, and class samples.

    A reconstruction is the expected picture at the location of the posterior, :math:`\bar x(\mu(x))`. A sample of a
    class is the expected picture at a draw :math:`z \sim q(z \mid x)` for a held-out original of that class. Each is
    decoded with the batch levels and covariates of its original. If the classifier, which has never seen anything
    decoded, tells the classes of decoded pictures as well as those of originals, then what makes the classes different
    has been kept.

    Only rows of ``train`` are ever weighted or repeated, after the split has been made, and no picture may be on both
    sides: data that hold a picture in ``train`` and again in ``test``, as they do when a rare class was repeated before
    splitting, are refused.

    Parameters
    ----------
    model
        A trained model.
    adata
        Pictures, or cells, of the model.
    label_key
        Column of ``adata.obs`` with the classes.
    split_key, train, test
        Column of ``adata.obs`` that says which side a row is on, and its values for the two sides; other rows are not
        used. The model should have been trained without the rows of ``test``.
    group_key
        Column of ``adata.obs`` with what must not be on both sides either, such as the slide that cells were cut from.
    use_rep
        ``None``: the classifier sees pixels. A key of ``adata.obsm``: it sees the model's embedding, and decoded
        pictures are encoded again for it.
    classifier
        Any classifier of scikit-learn, of which a copy is trained; by default gradient boosting of 100 trees a class.
    balance
        ``"weights"``: the rows of each class have the same total weight in training; ``"duplicates"``: the rows of
        rarer classes are repeated, for classifiers that take no weights; ``None``: as they are.
    n_samples
        Samples of each class, at least 1: each of another held-out original, as far as there are enough.
    seed
        Of the default classifier, the repetitions and the samples.

    Raises
    ------
    ValueError
        If a key is unknown, a side is empty or lacks a class, the sides share a picture or a group, ``use_rep`` is not
        the embedding of the model, or the classifier takes no weights.

    Warns
    -----
    UserWarning
        If the model was trained on pictures of ``test``.

    Examples
    --------
    >>> import numpy as np
    >>> import curvi
    >>> from sklearn.linear_model import LogisticRegression
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=5, likelihood="bernoulli")
    >>> sides = [np.flatnonzero(adata.obs["split"] == side) for side in ("train", "test")]
    >>> split = {"external_indexing": sides}
    >>> model.train(max_epochs=5, datasplitter_kwargs=split, enable_progress_bar=False, logger=None)
    >>> found = curvi.metrics.reconstruction_confusion(
    ...     model, adata, "label", classifier=LogisticRegression(max_iter=500), n_samples=10
    ... )
    >>> found.scores()["n"].to_dict()
    {'originals': 360, 'reconstructions': 360, 'samples': 100}
    """
    labels = categories(adata, "label_key", label_key)
    fit, held = _sides(adata, split_key, train, test)
    _check_classes(labels, label_key, fit, held)
    if group_key is not None:
        _check_groups(adata, group_key, fit, held)
    if n_samples < 1:
        raise ValueError(f"`n_samples` is {n_samples}; it must be at least 1.")
    pixels = _pixels(model, adata)
    keys = np.array([row.tobytes() for row in pixels], dtype=object)
    _check_pictures(keys, fit, held)
    n_seen = _count_seen(model, keys[held])

    features = pixels if use_rep is None else _own_embedding(model, adata, use_rep)
    judge = _gradient_boosting(features.shape[1], seed) if classifier is None else clone(classifier)
    fit_balanced(judge, features[fit], labels.codes[fit], balance, seed)

    drawn = _rows_of_classes(labels.codes, held, n_samples, seed)
    located = np.asarray(model.get_latent_representation(adata, indices=held))
    decoded = {"reconstructions": (held, located), "samples": (drawn, _draws(model, adata, drawn, seed))}
    sizes = _sizes(model, adata, pixels)
    rows, said = {"originals": held}, {"originals": judge.predict(features[held])}
    for name, (originals, points) in decoded.items():
        batch, continuous = _covariates(model, adata, originals)
        pictures = model.decode(points, batch, continuous=continuous, library_size=sizes[originals])
        rows[name] = originals
        shown = pictures if use_rep is None else model.encode(pictures, batch, continuous=continuous)
        said[name] = judge.predict(shown)

    classes = [str(name) for name in labels.categories]
    matrices = {name: confusion(labels.codes[rows[name]].astype(np.int64), said[name], classes) for name in rows}
    told = {"truth": labels.codes[held], "original": said["originals"], "reconstruction": said["reconstructions"]}
    table = {column: pd.Categorical.from_codes(codes, classes) for column, codes in told.items()}
    n_train = pd.Series(np.bincount(labels.codes[fit], minlength=len(classes)), index=classes, name="n_train")
    return ReconstructionConfusion(
        **matrices, held_out=pd.DataFrame(table, index=adata.obs_names[held]), n_train=n_train, n_seen=n_seen
    )


def _gradient_boosting(n_features: int, seed: int) -> HistGradientBoostingClassifier:
    """Boosting that looks at a part of the many features at each split, and never at a split of its own."""
    # Early stopping would judge by rows whose copies it has learned from, where rows are repeated.
    share = min(1.0, max(0.1, 16 / n_features))
    return HistGradientBoostingClassifier(
        early_stopping=False, max_features=share, max_leaf_nodes=15, random_state=seed
    )


def _sides(
    adata: AnnData, split_key: str, train: str | Sequence[str], test: str | Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that a classifier learns from and those that it is judged by."""
    if split_key not in adata.obs:
        raise ValueError(
            f"`split_key` is {split_key!r}, but `adata.obs` has {', '.join(map(repr, adata.obs.columns)) or 'none'}."
        )
    column = adata.obs[split_key].astype(str).to_numpy()
    wanted = {"train": as_keys(train), "test": as_keys(test)}
    both = sorted(set(wanted["train"]) & set(wanted["test"]))
    if both:
        raise ValueError(f"{both[0]!r} is in both `train` and `test`; a row is on one side.")
    for argument, values in wanted.items():
        for value in values:
            if value not in column:
                known = ", ".join(map(repr, np.unique(column)))
                raise ValueError(f"`{argument}` has {value!r}, which no row of {split_key!r} has; it has {known}.")
    return tuple(np.flatnonzero(np.isin(column, values)) for values in wanted.values())  # type: ignore[return-value]


def _check_classes(labels: pd.Categorical, label_key: str, fit: np.ndarray, held: np.ndarray) -> None:
    for argument, rows in {"train": fit, "test": held}.items():
        missing = np.setdiff1d(np.arange(len(labels.categories)), labels.codes[rows])
        if len(missing):
            raise ValueError(
                f"no row of `{argument}` has the class {labels.categories[missing[0]]!r} of {label_key!r}; split "
                "within classes, or leave the rows of that class out."
            )


def _check_groups(adata: AnnData, group_key: str, fit: np.ndarray, held: np.ndarray) -> None:
    groups = categories(adata, "group_key", group_key)
    shared = np.intersect1d(groups.codes[fit], groups.codes[held])
    if len(shared):
        raise ValueError(
            f"{len(shared)} groups of {group_key!r} (`group_key`) are on both sides, such as "
            f"{groups.categories[shared[0]]!r}; put all rows of a group on one side."
        )


def _pixels(model: CurviVAE, adata: AnnData) -> np.ndarray:
    """What the model reads, float32 `(n_obs, n_features)`."""
    read = value_blocks(adata, model.registry["setup_args"]["layer"])
    blocks = [block.toarray() if issparse(block) else np.asarray(block) for _, block in read]
    # Adding 0 makes -0 and 0 the same bytes.
    return np.ascontiguousarray(np.concatenate(blocks), dtype=np.float32) + np.float32(0)


def _check_pictures(keys: np.ndarray, fit: np.ndarray, held: np.ndarray) -> None:
    """Raise if a picture, known by its bytes ``keys (n_obs,)``, is on both sides."""
    seen = set(keys[fit])
    n_leaked = sum(key in seen for key in keys[held])
    if n_leaked:
        raise ValueError(
            f"{n_leaked} of {len(held)} rows of `test` are the same pictures as rows of `train`, so that the "
            "classifier would be judged by what it has learned. Split first and balance afterwards, with `balance=`; "
            "drop repeated pictures from `adata`."
        )


def _count_seen(model: CurviVAE, held: np.ndarray) -> int | None:
    """How many of the pictures with keys ``held (n,)`` are among those that the model was trained on."""
    if model.adata is None or model.train_indices is None:
        return None
    trained = _pixels(model, model.adata)[np.asarray(model.train_indices)]
    known = {row.tobytes() for row in trained}
    n_seen = sum(key in known for key in held)
    if n_seen:
        warnings.warn(
            f"the model was trained on {n_seen} of the {len(held)} pictures of `test`; their reconstructions say less "
            "than those of pictures that it has not seen. Train it on the rows of `train`.",
            UserWarning,
            stacklevel=3,
        )
    return n_seen


def _own_embedding(model: CurviVAE, adata: AnnData, use_rep: str) -> np.ndarray:
    """The points `(n_obs, ambient_dim)` of ``use_rep``, if they are where the model places the rows."""
    points = embedding(adata, use_rep)
    own = np.asarray(model.get_latent_representation(adata), dtype=np.float64)
    if points.shape != own.shape or not np.allclose(points, own, rtol=1e-3, atol=1e-3):
        raise ValueError(
            f"`adata.obsm[{use_rep!r}]` (`use_rep`) is not the embedding of `model`, which reconstructions need; write "
            "it with `model.embed(adata)`."
        )
    return own


def _rows_of_classes(codes: np.ndarray, held: np.ndarray, n_samples: int, seed: int) -> np.ndarray:
    """``n_samples`` held-out rows of each class, all of them equally often but for the remainder."""
    rng = np.random.default_rng(seed)
    chosen = []
    for code in range(codes.max() + 1):
        rows = held[codes[held] == code]
        n_rounds = -(-n_samples // len(rows))
        chosen.append(np.concatenate([rng.permutation(rows) for _ in range(n_rounds)])[:n_samples])
    return np.concatenate(chosen)


def _draws(model: CurviVAE, adata: AnnData, rows: np.ndarray, seed: int) -> np.ndarray:
    """A draw from the posterior of each row, `(n, ambient_dim)`."""
    device = torch.device(model.device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return np.asarray(model.get_latent_representation(adata, indices=rows, give_mean=False))


def _covariates(model: CurviVAE, adata: AnnData, rows: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """The batch levels and the continuous covariates of rows, as decoder and encoder take them."""
    setup = model.registry["setup_args"]
    levels = [*as_keys(setup["batch_key"]), *as_keys(setup["categorical_covariate_keys"])]
    kinds = (levels, as_keys(setup["continuous_covariate_keys"]))
    batch, continuous = ({key: adata.obs[key].iloc[rows].to_numpy() for key in keys} for keys in kinds)
    return batch, continuous


def _sizes(model: CurviVAE, adata: AnnData, pixels: np.ndarray) -> np.ndarray:
    """The totals of counts `(n_obs,)`, which decoded counts shall have too; real values have none."""
    key = model.registry["setup_args"]["size_factor_key"]
    sizes = pixels.sum(axis=1) if key is None else adata.obs[key].to_numpy()
    return np.where(sizes > 0, sizes, 1.0)
