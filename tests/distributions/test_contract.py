"""What every distribution promises to torch."""

from __future__ import annotations

import inspect

import pytest
import torch

from curvi import distributions
from curvi.distributions import (
    Delta,
    HypersphericalUniform,
    Joint,
    Mixture,
    PowerSpherical,
    VonMisesFisher,
    WrappedNormal,
)
from curvi.manifolds import Lorentz


def _unit(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape), dim=-1)


MAKERS = {
    "VonMisesFisher": lambda: VonMisesFisher(_unit(4, 3), torch.tensor([0.0, 1.0, 50.0, 1e5])),
    "PowerSpherical": lambda: PowerSpherical(_unit(4, 3), torch.tensor([0.0, 1.0, 50.0, 1e5])),
    "HypersphericalUniform": lambda: HypersphericalUniform(2, (4,)),
    "Delta": lambda: Delta(_unit(4, 3)),
    "WrappedNormal": lambda: WrappedNormal.from_tangent(Lorentz(2), torch.randn(4, 2), torch.rand(4, 2) + 0.1),
    "Joint": lambda: Joint([Delta(_unit(4, 1)), VonMisesFisher(_unit(4, 2), 3.0)]),
    "Mixture": lambda: Mixture(VonMisesFisher(_unit(4, 5, 3), torch.tensor([0.0, 1.0, 10.0, 50.0, 1e5]))),
}
# Nobody can write down the mean of these.
WITHOUT_MEAN = {"WrappedNormal"}
# No probability measure.
WITHOUT_DRAWS = {"ImproperUniform"}


@pytest.fixture(params=MAKERS)
def q(request) -> torch.distributions.Distribution:
    torch.manual_seed(0)
    return MAKERS[request.param]()


def test_every_distribution_that_can_be_drawn_from_is_tested_here():
    classes = [x for x in vars(distributions).values() if inspect.isclass(x) and not inspect.isabstract(x)]
    densities = {x.__name__ for x in classes if issubclass(x, torch.distributions.Distribution)}
    assert densities - WITHOUT_DRAWS == set(MAKERS)


def test_an_event_is_a_row(q):
    assert q.batch_shape == (4,)
    assert q.event_shape == (3,)
    assert type(q).support.event_dim == 1


def test_draws_and_their_densities_have_their_shapes(q):
    for draw in (q.sample, q.rsample) if q.has_rsample else (q.sample,):
        z = draw(torch.Size([5, 2]))
        assert z.shape == (5, 2, 4, 3)
        assert bool(q.support.check(z).all())
        assert q.log_prob(z).shape == (5, 2, 4)
        assert bool(torch.isfinite(q.log_prob(z)).all())


def test_expand_makes_the_same_law_of_another_shape(q):
    wide = q.expand(torch.Size([2, 4]))
    assert type(wide) is type(q)
    assert wide.batch_shape == (2, 4)
    z = wide.sample()
    assert z.shape == (2, 4, 3)
    torch.testing.assert_close(wide.log_prob(z), q.log_prob(z))


def test_bad_values_are_refused_where_arguments_are_checked(q):
    with pytest.raises(ValueError, match="shape|size|broadcast"):
        q.log_prob(torch.ones(4, 7))
    with pytest.raises(ValueError, match="support"):
        q.log_prob(torch.full((4, 3), float("nan")))


def test_the_mean_is_that_of_the_draws(q):
    if type(q).__name__ in WITHOUT_MEAN:
        with pytest.raises(NotImplementedError):
            _ = q.mean
        return
    z = q.sample((20_000,))
    assert bool(((z.mean(0) - q.mean).abs() < 5 * z.std(0) / 20_000**0.5 + 1e-5).all())
