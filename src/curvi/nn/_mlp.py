"""Fully connected networks whose layers are shifted by the batch levels; no hidden layer makes them linear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from curvi.nn._base import Decoder, Encoder
from curvi.nn._covariates import CovariateShift
from curvi.nn._input import InputLinear
from curvi.nn._steps import Style

if TYPE_CHECKING:
    from collections.abc import Sequence


class Block(nn.Module):
    """One hidden layer: linear map, covariate shift, normalisation and activation in either order, dropout."""

    def __init__(
        self,
        linear: type[nn.Linear | InputLinear],
        n_in: int,
        n_out: int,
        shift: CovariateShift | None,
        style: Style,
        dropout_rate: float,
    ) -> None:
        super().__init__()
        self.linear = linear(n_in, n_out)
        self.shift = shift
        self.steps = style.row_steps(n_out, dropout_rate)

    def forward(self, x: Tensor, levels: Tensor, continuous: Tensor | None, n_groups: int = 1) -> Tensor:
        """From ``(..., n, n_in)`` to ``(..., n, n_out)``; cells are the second axis from the end."""
        h = self.linear(x)
        if self.shift is not None:
            h = h + self.shift(levels, continuous)
        # Batch normalisation wants one axis of rows, however many draws stand in front.
        return self.steps(h, n_groups) if h.ndim == 2 else self.steps(h.flatten(0, -2)).unflatten(0, h.shape[:-1])


class MLP(nn.Module):
    r"""Hidden layers and a linear head, each able to see the batch levels.

    Parameters
    ----------
    n_in, n_out
        Widths of the input and of the head.
    n_hidden
        Widths of the hidden layers; empty for a linear map.
    n_per_level
        Categories of each batch level, or empty for a network that sees none.
    n_continuous
        Continuous covariates seen.
    deeply_inject_covariates
        Whether every hidden layer is shifted by the covariates, or only the first. Without hidden layers the head is.
    activation
        One of ``"relu"``, ``"elu"``, ``"leaky_relu"``, ``"gelu"``, ``"silu"``, ``"tanh"``.
    normalization
        ``"batch"``, ``"layer"`` or ``"none"``.
    norm_first
        Whether normalisation stands before the activation (scVI) or after it (scPhere).
    dropout_rate
        Probability in [0, 1) of zeroing a hidden unit in training.
    momentum
        The share of a minibatch in the running figures of batch normalisation, in (0, 1]; by default that of scVI.

    Examples
    --------
    >>> import torch
    >>> net = MLP(20, 3, [16, 8], n_per_level=[4])
    >>> net(torch.randn(5, 20), torch.zeros(5, 1, dtype=torch.int64)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_hidden: Sequence[int],
        *,
        n_per_level: Sequence[int] = (),
        n_continuous: int = 0,
        deeply_inject_covariates: bool = True,
        activation: str = "relu",
        normalization: str = "batch",
        norm_first: bool = True,
        dropout_rate: float = 0.0,
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        has_covariates = bool(len(n_per_level) or n_continuous)

        def shift(fan_in: int, width: int, *, wanted: bool) -> CovariateShift | None:
            return (
                CovariateShift(width, n_per_level, n_continuous, fan_in=fan_in) if has_covariates and wanted else None
            )

        widths = [n_in, *n_hidden]
        self.blocks = nn.ModuleList(
            Block(
                nn.Linear if i else InputLinear,
                before,
                width,
                shift(before, width, wanted=deeply_inject_covariates or i == 0),
                Style(activation, normalization, norm_first, momentum),
                dropout_rate,
            )
            for i, (before, width) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )
        self.head = nn.Linear(widths[-1], n_out) if n_hidden else InputLinear(n_in, n_out)
        self.head_shift = shift(n_in, n_out, wanted=len(n_hidden) == 0)

    def forward(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None, n_groups: int = 1) -> Tensor:
        """From ``(..., n, n_in)`` to ``(..., n, n_out)``; ``levels`` is ``(n, n_levels)``.

        In training each of ``n_groups`` groups of rows ``(n, n_in)`` is normalised by itself.
        """
        for block in self.blocks:
            x = block(x, levels, continuous, n_groups)
        raw = self.head(x)
        return raw if self.head_shift is None else raw + self.head_shift(levels, continuous)


class MLPEncoder(Encoder):
    """Fully connected encoder: an :class:`MLP` from features to a raw code."""

    takes_sparse = True

    def __init__(self, network: MLP) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None, n_groups: int = 1) -> Tensor:
        """Raw codes ``(n, n_params)``; in training, each of ``n_groups`` groups of cells is normalised by itself."""
        return self.network(x, levels, continuous, n_groups)

    def encode_apart(self, x: Tensor, levels: Tensor, continuous: Tensor | None = None, n_groups: int = 1) -> Tensor:
        """Raw codes ``(n, n_params)`` of groups of cells; only their normalisation is apart."""
        return self(x, levels, continuous, n_groups)


class MLPDecoder(Decoder):
    """Fully connected decoder: an :class:`MLP` whose output is cut into one map of features a parameter."""

    def __init__(self, network: MLP, n_params: int) -> None:
        super().__init__()
        self.network = network
        self.n_params = n_params

    def forward(self, z: Tensor, levels: Tensor, continuous: Tensor | None = None) -> Tensor:
        """Raw maps ``(..., n, n_params, n_features)``."""
        return self.network(z, levels, continuous).unflatten(-1, (self.n_params, -1))
