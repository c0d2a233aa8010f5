"""What every latent space promises, whatever its geometry."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import kl_divergence

from curvi.latent import LatentSpace, LorentzLatent, ProductLatent, VonMisesFisherLatent

PARTS = [[(name, dim)] for name in LatentSpace.names() for dim in (1, 2, 5)]
PRODUCTS = [[("vmf", 2), ("lorentz", 2), ("normal", 4)], [("vmf", 1), ("vmf", 1)], [("poincare", 3), ("delta", 2)]]
# Their divergence from the prior has no closed form: it is estimated from a draw.
ESTIMATED = ("lorentz", "poincare")


@pytest.fixture(params=PARTS + PRODUCTS, ids=lambda parts: "-".join(f"{name}{dim}" for name, dim in parts))
def parts(request) -> list[tuple[str, int]]:
    return request.param


@pytest.fixture
def space(parts) -> LatentSpace:
    spaces = [LatentSpace.named(name)(dim) for name, dim in parts]
    return spaces[0] if len(spaces) == 1 else ProductLatent(spaces)


def raw(space: LatentSpace, *batch: int, scale: float = 1.0) -> torch.Tensor:
    torch.manual_seed(0)
    return scale * torch.randn(*batch, space.n_params)


def test_shapes(space):
    q = space(raw(space, 4, 6))
    assert q.batch_shape == (4, 6)
    assert q.event_shape == (space.manifold.ambient_dim,)
    assert q.rsample(torch.Size([3])).shape == (3, 4, 6, space.manifold.ambient_dim)
    assert space.coordinates(q.rsample()).shape == (4, 6, space.n_coordinates)
    assert space.prior().event_shape == q.event_shape


def test_locations_and_draws_lie_on_the_manifold(space):
    q = space(raw(space, 200))
    for points in (space.location(q), q.rsample()):
        on_it, reason = space.manifold.contains(points, atol=1e-5)
        assert on_it, reason


def test_divergence_is_one_number_a_cell(space, parts):
    q = space(raw(space, 7))
    assert kl_divergence(q, space.prior()).shape == (7,)
    if any(name in ESTIMATED for name, _ in parts):
        q.rsample(torch.Size([2000]))
    assert (kl_divergence(q, space.prior()) >= 0).all()


def test_divergence_is_the_mean_log_ratio_of_densities(space):
    if not space.has_prior:
        pytest.skip("no prior to compare with")
    q = space(raw(space, 3, scale=0.5).double())
    prior = space.double().prior()
    z = q.rsample(torch.Size([20000]))
    ratio = q.log_prob(z) - prior.log_prob(z)
    error = ratio.std(0) / len(z) ** 0.5
    assert ((kl_divergence(q, prior) - ratio.mean(0)).abs() < 5 * error + 1e-9).all()


def test_the_prior_can_be_drawn_from_and_evaluated_where_there_is_one(space):
    prior = space.prior()
    if not space.has_prior:
        with pytest.raises(NotImplementedError):
            prior.rsample()
        return
    draws = prior.rsample(torch.Size([50]))
    assert draws.shape == (50, space.manifold.ambient_dim)
    assert space.manifold.contains(draws)[0]
    assert prior.log_prob(draws).isfinite().all()


def test_parameters_are_named_and_finite_at_extreme_codes(space):
    for scale in (0.0, 1e-6, 30.0, 1000.0):
        code = raw(space, 20, scale=scale).requires_grad_()
        q = space(code)
        parameters = space.posterior_parameters(q)
        assert "loc" in parameters
        assert all(value.isfinite().all() for value in parameters.values())
        z = q.rsample()
        (z.sum() + kl_divergence(q, space.prior()).sum()).backward()
        assert z.isfinite().all()
        assert code.grad.isfinite().all()


@pytest.mark.parametrize(("scale", "dtype"), [(0.5, torch.float32), (0.5, torch.float64), (30.0, torch.float32)])
def test_a_posterior_comes_back_from_its_parameters_to_the_last_bit(space, dtype, scale):
    space.to(dtype)
    q = space(raw(space, 3, 4, scale=scale).to(dtype))
    parameters = space.posterior_parameters(q)
    again = space.posterior(parameters)
    assert type(again) is type(q)
    assert torch.equal(space.location(again), space.location(q))
    torch.manual_seed(1)
    z = q.rsample(torch.Size([5]))
    torch.manual_seed(1)
    drawn = again.rsample(torch.Size([5]))
    assert torch.equal(drawn, z)
    assert torch.equal(again.log_prob(drawn), q.log_prob(z))
    if scale < 1:
        # Points that neither of the two remembers to have drawn.
        points = z.clone()
        assert torch.equal(again.log_prob(points), q.log_prob(points))
    for name, value in space.posterior_parameters(again).items():
        assert torch.equal(value, parameters[name])


def test_a_product_of_products_keeps_the_parameters_of_its_parts_apart():
    inner = ProductLatent([VonMisesFisherLatent(1), LorentzLatent(2)])
    space = ProductLatent([inner, *(VonMisesFisherLatent(1) for _ in range(10)), inner])
    q = space(raw(space, 4))
    parameters = space.posterior_parameters(q)
    assert {"0_1_scale", "1_concentration", "10_concentration", "11_1_scale"} < parameters.keys()
    torch.manual_seed(1)
    z = q.rsample()
    torch.manual_seed(1)
    assert torch.equal(space.posterior(parameters).rsample(), z)


def test_a_posterior_needs_all_of_its_parameters(space):
    parameters = space.posterior_parameters(space(raw(space, 2)))
    needed = [name for name in parameters if name != "loc"] or ["loc"]
    for left_out in needed:
        with pytest.raises(ValueError, match="`posterior_parameters` gives them"):
            space.posterior({name: value for name, value in parameters.items() if name != left_out})


def test_codes_move_the_location(space):
    code = raw(space, 5).requires_grad_()
    space.location(space(code)).square()[:, 0].sum().backward()
    assert (code.grad[:, : space.manifold.ambient_dim].abs().sum(1) > 0).all()


@pytest.mark.parametrize("raw_value", [-50.0, -1.0, 0.0, 3.0, 50.0])
def test_concentration_is_exponential_within_its_range(raw_value):
    space = VonMisesFisherLatent(2, initial_concentration=4.0)
    code = torch.tensor([[1.0, 0.0, 0.0, raw_value]], dtype=torch.float64)
    expected = min(max(4.0 * torch.tensor(raw_value, dtype=torch.float64).exp().item(), 1e-4), 1e7)
    assert space(code).concentration.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", ["log", "softplus"])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_one_pass_over_codes_gives_what_operations_of_torch_give(scale, dtype, bar):
    space = VonMisesFisherLatent(3, concentration_scale=scale)
    torch.manual_seed(0)
    code = torch.randn(5, 9, space.n_params, dtype=dtype)
    code[0] *= 1e-30
    code[1, :, :-1] *= 1e30
    code[2, :, -1] = torch.linspace(-40, 40, 9)
    code[3, :4, :-1] = 0.0
    code[4, 0, 0], code[4, 1, :-1] = float("nan"), float("nan")
    code.requires_grad_()
    passed, known = space(code), space._by_operations(code, None)
    results = (passed.loc, passed.concentration)
    weights = [torch.randn_like(result) for result in known]
    gradients = [torch.autograd.grad(made, code, weights)[0] for made in (results, known)]
    for ours, theirs in zip((*results, gradients[0]), (*known, gradients[1]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=50 * bar, atol=bar, equal_nan=True)
    nothing = space(torch.full((1, space.n_params), float("nan"), dtype=dtype))
    assert bool(nothing.loc.isnan().all() and nothing.concentration.isnan().all())


@pytest.mark.parametrize("scale", ["log", "softplus"])
def test_codes_can_be_differentiated_twice(scale):
    space = VonMisesFisherLatent(2, concentration_scale=scale)
    code = raw(space, 4).double().requires_grad_()

    def made(x):
        q = space(x)
        return q.loc, q.concentration

    assert torch.autograd.gradcheck(made, code)
    assert torch.autograd.gradgradcheck(made, code)


def test_softplus_concentration_is_that_of_scphere():
    space = VonMisesFisherLatent(2, concentration_scale="softplus")
    code = torch.tensor([[1.0, 0.0, 0.0, raw_value] for raw_value in (-100.0, 0.0, 1e6)])
    torch.testing.assert_close(space(code).concentration, torch.tensor([1.0, 1.0 + torch.log(torch.tensor(2.0)), 1e4]))


def test_unknown_concentration_scale_lists_the_known():
    with pytest.raises(ValueError, match="unknown `concentration_scale` 'x'; the known names are 'log', 'softplus'"):
        VonMisesFisherLatent(2, concentration_scale="x")


def test_hyperbolic_codes_stay_where_float32_has_points():
    space = LorentzLatent(2)
    code = torch.tensor([[1e18, -1e18, 60.0, 60.0]])
    q = space(code)
    distance = space.manifold.dist(space.manifold.origin, space.location(q))
    assert distance.item() == pytest.approx(7.0, rel=1e-5)
    assert (q.scale <= 2.1).all()
    small = torch.tensor([[0.3, -0.4, 0.0, 0.0]])
    torch.testing.assert_close(space.manifold.log0(space.location(space(small)))[0], small[0, :2], rtol=3e-3, atol=0)


@pytest.mark.parametrize("name", ["lorentz", "poincare"])
def test_coordinates_tell_how_far_hyperplanes_are(name):
    space = LatentSpace.named(name)(2, curvature=4.0, n_hyperplanes=1)
    with torch.no_grad():
        # The hyperplane through the origin that the second axis is orthogonal to.
        space.hyperplanes.copy_(torch.tensor([[0.0, 0.0, 1.0]]))
    tangent = torch.tensor([[0.0, 0.8], [0.7, 0.0], [0.0, -1.5], [3.0, 0.0]])
    coordinates = space.coordinates(space.manifold.exp0(tangent))
    torch.testing.assert_close(coordinates[:, :2], tangent, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(coordinates[:, 2], tangent[:, 1], rtol=1e-4, atol=1e-4)
    assert LatentSpace.named(name)(2, n_hyperplanes=0).n_coordinates == 2
    with pytest.raises(ValueError, match="`n_hyperplanes` is -1; it must be 0 or more"):
        LatentSpace.named(name)(2, n_hyperplanes=-1)


@pytest.mark.parametrize("name", ["vmf", "power_spherical", "lorentz", "poincare"])
def test_a_learned_curvature_gets_a_gradient_from_the_coordinates(name):
    space = LatentSpace.named(name)(2, curvature=0.5, learn_curvature=True)
    assert space.manifold.curvature.item() == pytest.approx(0.5)
    q = space(raw(space, 20))
    space.coordinates(q.rsample()).square().sum().backward()
    (gradient,) = [parameter.grad for name, parameter in space.named_parameters() if "curvature" in name]
    assert gradient.abs() > 0


def test_the_decoder_of_a_sphere_sees_its_radius():
    space = VonMisesFisherLatent(2, curvature=0.25)
    points = space.location(space(raw(space, 4)))
    torch.testing.assert_close(space.coordinates(points), 2 * points)


def test_a_product_names_the_parameters_of_its_parts():
    space = ProductLatent([VonMisesFisherLatent(2), LorentzLatent(3)])
    q = space(raw(space, 4))
    shapes = {name: tuple(value.shape) for name, value in space.posterior_parameters(q).items()}
    assert shapes == {"loc": (4, 7), "0_concentration": (4,), "1_tangent_loc": (4, 3), "1_scale": (4, 3)}


def test_a_product_needs_parts():
    with pytest.raises(ValueError, match="`parts` is empty; a product needs at least one latent space"):
        ProductLatent([])
