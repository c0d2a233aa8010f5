"""Which batch levels lie inside others, so that their shifts cannot be told apart."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Sequence

# Above it two levels that are crossed in principle rest on a few cells.
_NEARLY = 0.95


def nesting(obs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    r"""How each two levels stand to each other: one inside the other, the same, in blocks, or crossed.

    The shifts of two levels can be told apart as far as cells link their categories. Take the categories of both as
    the nodes of a graph and each combination that occurs as an edge: in every connected block of it a constant can be
    moved from one level to the other without any change of the sum. With one block that is the constant that all models
    of this kind have; every further block is a difference that the data do not determine.

    Cramer's :math:`V` is :math:`\sqrt{\chi^2 / (n \min(r - 1, c - 1))}` of the table of counts `(r, c)`: 0 for
    independent levels, 1 where one of them says which category the other has.

    Parameters
    ----------
    obs
        The table of cells, ``adata.obs``.
    keys
        Columns of it, the levels.

    Returns
    -------
    A row for each pair of levels: ``first`` and ``second``; the ``relation``, one of ``"same"`` (identical but for the
    names of the categories), ``"first inside second"``, ``"second inside first"``, ``"blocks"`` (not nested, but parts
    of the data share no category of either) and ``"crossed"``; ``n_blocks``; ``cramers_v`` from 0 to 1, which is nan
    where a level has one category; ``n_combinations``, how many combinations of categories occur, and ``n_possible``.

    Raises
    ------
    KeyError
        If a key is not a column.
    ValueError
        If a column has missing values.

    Examples
    --------
    >>> import pandas as pd
    >>> obs = pd.DataFrame({"patient": ["a", "a", "b", "c"], "disease": ["ill", "ill", "well", "ill"]})
    >>> nesting(obs, ["patient", "disease"])[["relation", "n_blocks"]].values.tolist()
    [['first inside second', 2]]
    """
    codes = {key: _codes(obs, key) for key in keys}
    rows = [{"first": a, "second": b, **_relation(codes[a], codes[b])} for a, b in combinations(codes, 2)]
    columns = ["first", "second", "relation", "n_blocks", "cramers_v", "n_combinations", "n_possible"]
    return pd.DataFrame(rows, columns=columns)


def _codes(obs: pd.DataFrame, key: str) -> np.ndarray:
    """The categories of a column as codes `(n,)` without gaps."""
    if key not in obs:
        raise KeyError(
            f"`keys` names {key!r}, which is no column; the columns are {', '.join(map(repr, obs.columns))}."
        )
    if obs[key].isna().any():
        raise ValueError(f"column {key!r} has {int(obs[key].isna().sum())} missing values; fill them in.")
    return np.asarray(pd.factorize(obs[key])[0])


def _relation(first: np.ndarray, second: np.ndarray) -> dict[str, object]:
    """How two levels with codes `(n,)` stand to each other."""
    shape = (int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1)
    counts = coo_array((np.ones(len(first)), (first, second)), shape=shape).tocsr()
    counts.sum_duplicates()
    r, c = shape
    n_combinations = counts.nnz
    edges = counts.tocoo()
    graph = coo_array((edges.data, (edges.row, edges.col + r)), shape=(r + c, r + c))
    n_blocks = int(connected_components(graph, directed=False)[0])
    first_inside, second_inside = n_combinations == r, n_combinations == c
    if first_inside and second_inside:
        relation = "same"
    elif first_inside:
        relation = "first inside second"
    elif second_inside:
        relation = "second inside first"
    else:
        relation = "blocks" if n_blocks > 1 else "crossed"
    return {
        "relation": relation,
        "n_blocks": n_blocks,
        "cramers_v": _cramers_v(edges),
        "n_combinations": n_combinations,
        "n_possible": r * c,
    }


def _cramers_v(counts: coo_array) -> float:
    """Cramer's V of a table of counts `(r, c)`; nan where a level has one category."""
    smaller = min(counts.shape) - 1
    if smaller < 1:
        return float("nan")
    rows, columns = np.asarray(counts.sum(1)), np.asarray(counts.sum(0))
    # Chi squared over n is the sum of n_ij^2 / (n_i n_j), less 1.
    phi = float((counts.data**2 / (rows[counts.row] * columns[counts.col])).sum()) - 1
    return float(np.sqrt(min(max(phi / smaller, 0.0), 1.0)))


def confounding(obs: pd.DataFrame, keys: Sequence[str]) -> str | None:
    """What a user should know of levels that cannot be told apart, as sentences; None if there are none such."""
    several = [key for key in keys if obs[key].nunique() > 1]
    found = [_sentence(obs, row) for row in nesting(obs, several).itertuples()]
    told = [sentence for sentence in found if sentence]
    if not told:
        return None
    return (
        f"confounded batch levels: {' '.join(told)} Their sum is corrected as it would be otherwise, but what belongs "
        "to the one and what to the other is not, or hardly, in the data: decoding cells under another category of one "
        "level while the other stays extrapolates to combinations that no cell has. To compare the categories of a "
        "level, change both, or leave one out. `curvi.data.nesting(adata.obs, keys)` lists all pairs; if this is "
        "meant, `warnings.filterwarnings('ignore', 'confounded batch levels')` silences it."
    )


def _sentence(obs: pd.DataFrame, row: Any) -> str | None:
    first, second, relation, n_blocks, v = row.first, row.second, row.relation, row.n_blocks, row.cramers_v
    if relation == "same":
        return f"{first!r} and {second!r} are the same but for the names of their {n_blocks} categories."
    if "inside" in relation:
        inner, outer = (first, second) if relation == "first inside second" else (second, first)
        return f"{inner!r} lies inside {outer!r}: each of its {obs[inner].nunique()} categories has one of {outer!r}."
    if relation == "blocks":
        return f"{first!r} and {second!r} fall into {n_blocks} blocks of cells that share no category of either."
    if v > _NEARLY:
        return (
            f"{first!r} and {second!r} are almost the same partition (Cramer's V {v:.3f}); few cells tell them apart."
        )
    return None
