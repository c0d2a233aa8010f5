"""Uniform random numbers for compiled loops: by their place, so that threads share a sequence in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

# The generator SplitMix64: a step and two multipliers (Steele, Lea and Flood 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Of its 64 bits the upper 53 are a uniform number.
_UNIT = 2.0**-53


def new_seeds(n: int) -> Tensor:
    """Seeds of sequences from the generator of torch, int64 ``(n,)``."""
    return torch.randint(2**63 - 1, (n,))


@njit(error_model="numpy")
def uniform(seed: Any, at: Any) -> Any:
    """The number ``at`` of the sequence of a seed, in float64 from 0 to below 1."""
    z = np.uint64(seed) + (np.uint64(at) + np.uint64(1)) * _STEP
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    return np.float64(np.int64(z >> np.uint64(11))) * _UNIT
