"""Draws, densities and divergences of wrapped normals: compiled passes over rows and the formulas for other devices."""

from __future__ import annotations

import mpmath
import pytest
import torch

from curvi.distributions import _carried
from curvi.distributions._carried import CarriedDivergence, CarriedLogDensity, CarriedPoint

F64 = torch.float64


def inputs(dtype=F64, dim=3, samples=(2,), prior=(1,)) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    batch = (4, 5)
    made = {
        "mean": torch.randn(*batch, dim, dtype=dtype),
        "scale": 0.1 + torch.rand(*batch, dim, dtype=dtype),
        "prior": 0.5 + torch.rand(*prior, dim, dtype=dtype),
        "curvature": torch.tensor(0.6, dtype=dtype),
        "t": torch.randn(*samples, *batch, dim, dtype=dtype),
    }
    # Where directions are not defined.
    made["mean"][0, 0], made["t"][..., 0, 1, :] = 0.0, 0.0
    made = {name: value.requires_grad_() for name, value in made.items()}
    noise = torch.randn(*samples, *batch, dim, dtype=torch.float64 if dtype == F64 else torch.float32)
    noise[..., 0, 2, :] = 0.0
    noise[..., 0, 0, 0] = 0.0
    return made | {"noise": noise}


def results(x: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    fixed = x["curvature"], x["noise"]
    return {
        "point": CarriedPoint.apply(x["mean"], x["scale"], *fixed),
        "divergence": CarriedDivergence.apply(x["t"], x["mean"], x["scale"], x["prior"], *fixed),
        "density": CarriedLogDensity.apply(x["t"], x["scale"], x["curvature"]),
        "wider": CarriedLogDensity.apply(x["t"][0, 0, :1], x["scale"], x["curvature"]),
    }


def values_and_gradients(x: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    torch.manual_seed(1)
    found = []
    leaves = [value for value in x.values() if value.requires_grad]
    for made in results(x).values():
        weights = torch.randn(made.shape).to(made.dtype)
        found += [made, *torch.autograd.grad((made * weights).sum(), leaves, allow_unused=True)]
    return found


@pytest.mark.parametrize(("dtype", "bar"), [(F64, 1e-11), (torch.float32, 2e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("samples", [(), (3,), (2, 3)])
@pytest.mark.parametrize("prior", [(), (1,), (5,), (4, 1), (4, 5)])
@pytest.mark.parametrize("dim", [1, 2, 7])
def test_both_ways_give_the_same_values_and_gradients(dtype, bar, samples, prior, dim, monkeypatch):
    if not samples:
        samples = (1,)
    x = inputs(dtype, dim, samples, prior)
    compiled = values_and_gradients(x)
    monkeypatch.setattr(_carried, "library", lambda _device: torch)
    for ours, theirs in zip(compiled, values_and_gradients(x), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours.dtype == dtype
            torch.testing.assert_close(ours, theirs, rtol=bar, atol=bar * float(1 + theirs.detach().abs().max()))


def test_nothing_is_drawn_from_no_cells():
    x = {name: value.detach()[..., :0, :] if value.ndim > 1 else value.detach() for name, value in inputs().items()}
    x["prior"] = inputs()["prior"].detach()
    mean = x["mean"].requires_grad_()
    drawn = CarriedPoint.apply(mean, x["scale"], x["curvature"], x["noise"])
    kl = CarriedDivergence.apply(x["t"], mean, x["scale"], x["prior"], x["curvature"], x["noise"])
    assert drawn.shape == (2, 4, 0, 3)
    assert kl.shape == (2, 4, 0)
    (gradient,) = torch.autograd.grad(drawn.sum() + kl.sum(), mean)
    assert gradient.shape == mean.shape


def exact_divergence(t, m, s, p, e, curvature) -> mpmath.mpf:
    n, root = len(t), mpmath.sqrt(curvature)
    v = [a * b for a, b in zip(s, e, strict=True)]

    def bend(x):
        r = root * mpmath.norm(x)
        return (n - 1) * mpmath.log(mpmath.sinh(r) / r)

    total = bend(t) - bend(v)
    for t_i, m_i, s_i, p_i, v_i in zip(t, m, s, p, v, strict=True):
        total += mpmath.log(p_i / s_i) + (s_i**2 + m_i**2) / (2 * p_i**2) - mpmath.mpf(1) / 2
        total += (t_i**2 - (m_i + v_i) ** 2) / (2 * p_i**2)
    spread = sum(a**2 + b**2 for a, b in zip(m, s, strict=True))
    weight = (n - 1) * curvature / (mpmath.mpf(1) / 2 + mpmath.sqrt(mpmath.mpf("6.25") + curvature * spread))
    return total - weight * mpmath.fdot(m, v)


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("dim", [2, 200])
def test_divergences_agree_with_sixty_digits(size, dim):
    torch.manual_seed(0)
    t, m, e = size * torch.randn(dim, dtype=F64), size * torch.randn(dim, dtype=F64), torch.randn(dim, dtype=F64)
    # So many scales that their product has no number.
    s, p = 1e-3 * (1 + torch.rand(dim, dtype=F64)), 1 + torch.rand(dim, dtype=F64)
    got = CarriedDivergence.apply(t, m, s, p, torch.tensor(0.5, dtype=F64), e)
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(x) for x in row.tolist()] for row in (t, m, s, p, e)]
        exact = exact_divergence(*rows, mpmath.mpf(0.5))
        assert abs(got.item() / exact - 1) < 1e-12
