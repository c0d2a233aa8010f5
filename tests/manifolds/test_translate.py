"""Translation in tangent coordinates, against 120 digits."""

from __future__ import annotations

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curvi.manifolds import _device
from curvi.manifolds._translate import translate

LENGTHS = (1e-6, 1e-3, 0.1, 1.0, 5.0, 10.0, 20.0, 40.0, 80.0)


@pytest.fixture(params=["numpy", "torch"])
def library(request, monkeypatch) -> str:
    """Both ways to compute: that of the CPU, and that of other devices."""
    if request.param == "torch":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    return request.param


def truth(m: list[float], v: list[float], curvature: float) -> list[mpmath.mpf]:
    """A boost of the hyperboloid in 120 digits."""
    with mpmath.workdps(120):
        root = mpmath.sqrt(curvature)
        m, v = ([root * x for x in vector] for vector in (m, v))
        a, b = (mpmath.sqrt(sum(x * x for x in vector)) for vector in (m, v))
        sinh_a, sinh_b = (mpmath.sinh(x) / x if x else mpmath.mpf(1) for x in (a, b))
        bent = (mpmath.cosh(a) - 1) / a**2 if a else mpmath.mpf(0.5)
        along = sinh_a * mpmath.cosh(b) + bent * sinh_b * sum(x * y for x, y in zip(m, v, strict=True))
        w = [along * x + sinh_b * y for x, y in zip(m, v, strict=True)]
        size = mpmath.sqrt(sum(x * x for x in w))
        return [x * mpmath.asinh(size) / size / root if size else mpmath.mpf(0) for x in w]


def vectors(turn: float | None, dtype: torch.dtype, dim: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of vectors of all lengths; ``turn`` is how far they are from opposite, None for any direction."""
    pairs = []
    for a in LENGTHS:
        for b in LENGTHS:
            m, v = torch.randn(2, dim, dtype=dtype)
            m = m / m.norm()
            v = v if turn is None else turn * v - m
            pairs.append((a * m, b * v / v.norm()))
    m, v = (torch.stack(x) for x in zip(*pairs, strict=True))
    return m, v


@pytest.mark.parametrize("turn", [None, 1e-2, 1e-4, 0.0])
def test_float32_is_right_to_its_rounding_at_every_radius(library, turn):
    torch.manual_seed(0)
    m, v = vectors(turn, torch.float32)
    got = translate(m, v, 1.0)
    assert got.dtype == torch.float32
    for row_m, row_v, row in zip(m.tolist(), v.tolist(), got.tolist(), strict=True):
        exact = truth(row_m, row_v, 1.0)
        size = mpmath.norm(exact)
        assert mpmath.norm([x - y for x, y in zip(row, exact, strict=True)]) < 2e-7 * size + 1e-30, (row_m, row_v)


@pytest.mark.parametrize("curvature", [1.0, 0.3, 7.0])
def test_float64_is_right_to_its_rounding(library, curvature):
    torch.manual_seed(1)
    m, v = vectors(None, torch.float64, 2)
    for row_m, row_v, row in zip(m.tolist(), v.tolist(), translate(m, v, curvature).tolist(), strict=True):
        exact = truth(row_m, row_v, curvature)
        assert mpmath.norm([x - y for x, y in zip(row, exact, strict=True)]) < 1e-12 * mpmath.norm(exact)


def test_opposite_vectors_cancel_exactly():
    torch.manual_seed(0)
    m = torch.randn(50, 4) * torch.logspace(-6, 1.6, 50)[:, None]
    assert bool((translate(m, -m, 1.0) == 0).all())
    torch.testing.assert_close(translate(m, -0.5 * m, 2.0), 0.5 * m, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_moves_by_nothing(library, dtype):
    torch.manual_seed(0)
    v, zero = 10 * torch.randn(20, 3, dtype=dtype), torch.zeros(20, 3, dtype=dtype)
    torch.testing.assert_close(translate(zero, v, 1.3), v)
    torch.testing.assert_close(translate(v, zero, 1.3), v)
    assert bool((translate(zero, zero, 1.3) == 0).all())


def test_a_line_is_straight():
    m, v = torch.randn(5, 1), torch.randn(5, 1)
    assert torch.equal(translate(m, v, 3.0), m + v)


def test_it_is_undone_by_the_opposite():
    torch.manual_seed(0)
    m, v = 3 * torch.randn(2, 100, 3, dtype=torch.float64)
    torch.testing.assert_close(translate(-m, translate(m, v, 0.7), 0.7), v, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("m", "v"),
    [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1e-9, 1.0), (1.0, 1e-9), (5.0, 5.0), (12.0, 0.3)],
)
def test_gradients_are_those_of_the_values(library, m, v):
    torch.manual_seed(0)
    m, v = ((x * torch.randn(4, 3, dtype=torch.float64)).requires_grad_() for x in (m, v))
    curvature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(translate, (m, v, curvature), atol=1e-6, rtol=1e-5)


def test_gradients_are_right_where_the_point_is_the_origin(library):
    m = torch.tensor([[0.5, -1.0, 2.0], [1e-3, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    v = (-m).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: translate(a, b, 1.0), (m, v))


def test_batches_broadcast():
    torch.manual_seed(0)
    m, v = torch.randn(5, 1, 3, requires_grad=True), torch.randn(7, 3, requires_grad=True)
    t = translate(m, v, 1.0)
    assert t.shape == (5, 7, 3)
    t.square().sum().backward()
    assert m.grad is not None
    assert m.grad.shape == m.shape
    torch.testing.assert_close(t[2, 3], translate(m[2, 0], v[3], 1.0))
    assert translate(m[:0], v, 1.0).shape == (0, 7, 3)


@settings(max_examples=60, deadline=None)
@given(
    m=st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=2),
    v=st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=2),
    single=st.booleans(),
)
def test_no_input_gives_nan(m, v, single):
    dtype = torch.float32 if single else torch.float64
    m, v = (torch.tensor(x, dtype=dtype, requires_grad=True) for x in (m, v))
    t = translate(m, v, 1.0)
    assert bool(torch.isfinite(t).all())
    for gradient in torch.autograd.grad(t.sum(), (m, v)):
        assert not bool(torch.isnan(gradient).any())


def test_a_device_without_double_is_a_little_less_accurate(monkeypatch):
    # The path in single precision, on the CPU.
    monkeypatch.setattr(_device, "_WITHOUT_DOUBLE", {"cpu"})
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.manual_seed(0)
    m, v = (x.requires_grad_() for x in vectors(None, torch.float32))
    t = translate(m, v, 1.0)
    exact = torch.stack(
        [torch.tensor([float(x) for x in truth(a, b, 1.0)]) for a, b in zip(m.tolist(), v.tolist(), strict=True)]
    )
    assert float(((t.detach() - exact).norm(dim=-1) / exact.norm(dim=-1)).max()) < 1e-5
    for gradient in torch.autograd.grad(t.sum(), (m, v)):
        assert bool(torch.isfinite(gradient).all())


def test_gradients_have_gradients():
    torch.manual_seed(0)
    m, v = torch.randn(2, 4, 3, dtype=torch.float64)
    curvature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(translate, (m.requires_grad_(), v.requires_grad_(), curvature))
