"""Cells on the Poincare disk: what is drawn where, and what is refused."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.patches import Circle, PathPatch
from matplotlib.text import Annotation

import curvi
from curvi.manifolds import Euclidean, Lorentz, Poincare, Sphere
from curvi.pl._poincare import geodesic_path

CHARTS = [Lorentz, Poincare]


def embed(cells, manifold):
    """Three tight categories, the second of them far out, recorded on a hyperbolic plane."""
    centres = torch.tensor([[0.2, 0.1], [2.5, -1.0], [-0.6, 1.2]], dtype=torch.float64)
    code = np.repeat(np.arange(3), 40)
    tangent = centres[code] + torch.from_numpy(0.2 * np.random.default_rng(1).standard_normal((120, 2)))
    cells.obsm["X_curvi"] = manifold.exp0(tangent).detach().float().numpy()
    cells.uns["curvi"] = {"X_curvi": {"manifold": manifold.config()}}
    return cells


@pytest.fixture(params=CHARTS)
def hyperbolic(cells, request):
    return embed(cells, request.param(2))


def in_ball(cells, curvature=1.0):
    """The points in the unit disk, by a formula of their own."""
    points = cells.obsm["X_curvi"].astype(float) * curvature**0.5
    return points if points.shape[1] == 2 else points[:, 1:] / (1 + np.sqrt(1 + (points[:, 1:] ** 2).sum(1)))[:, None]


def moebius(z, middle):
    return (z - middle) / (1 - np.conj(middle) * z)


def drawn(ax):
    (cells,) = (artist for artist in ax.collections if isinstance(artist, PathCollection))
    return np.asarray(cells.get_offsets())


def labels(ax):
    return {artist.get_text(): artist for artist in ax.texts if isinstance(artist, Annotation)}


def plain_texts(ax):
    return [text.get_text() for text in ax.texts if not isinstance(text, Annotation)]


def same_points(one, two, atol=1e-5):
    np.testing.assert_allclose(one[one[:, 0].argsort()], two[two[:, 0].argsort()], atol=atol)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("curvature", [1.0, 0.4])
def test_points_of_both_charts_lie_in_the_unit_disk(cells, chart, curvature):
    embed(cells, chart(2, curvature))
    ax = curvi.pl.disk(cells, color="cell_type", show=False)
    same_points(drawn(ax), in_ball(cells, curvature))
    assert np.hypot(*drawn(ax).T).max() < 1
    assert "centre: origin" in plain_texts(ax)


def test_a_learned_curvature_and_a_given_manifold_are_read(cells):
    embed(cells, Poincare(2, 2.0, learn_curvature=True))
    ax = curvi.pl.disk(cells, show=False)
    same_points(drawn(ax), in_ball(cells, 2.0))
    del cells.uns["curvi"]
    same_points(drawn(curvi.pl.disk(cells, manifold=Poincare(2, 2.0), show=False)), in_ball(cells, 2.0))


@pytest.mark.parametrize("centre", ["c50", 50, np.int64(50)])
def test_a_cell_is_moved_to_the_middle_by_an_isometry(hyperbolic, centre):
    ax = curvi.pl.disk(hyperbolic, centre=centre, show=False)
    z = in_ball(hyperbolic) @ [1, 1j]
    expected = moebius(z, z[50])
    same_points(drawn(ax), np.stack([expected.real, expected.imag], axis=1), atol=1e-4)
    assert np.hypot(*drawn(ax).T).min() < 1e-9
    assert "centre: c50" in plain_texts(ax)


@pytest.mark.parametrize(("centre", "color"), [("back", "cell_type"), (("cell_type", "back"), "n_genes")])
def test_the_mean_of_a_category_is_moved_to_the_middle(hyperbolic, centre, color):
    ax = curvi.pl.disk(hyperbolic, color=color, centre=centre, show=False)
    assert "centre: back" in plain_texts(ax)
    # At the Frechet mean the logarithms of its cells, atanh of the radius in their directions, sum to nothing.
    z = drawn(ax) @ [1, 1j]
    near = z[np.abs(z) < 0.5]
    assert len(near) == 40
    assert np.abs((np.arctanh(np.abs(near)) * near / np.abs(near)).mean()) < 1e-6
    if color == "cell_type":
        np.testing.assert_allclose(labels(ax)["back"].xy, 0, atol=1e-6)


def test_a_point_is_moved_to_the_middle(cells):
    embed(cells, Poincare(2))
    ax = curvi.pl.disk(cells, centre=(0.3, -0.4), show=False)
    expected = moebius(in_ball(cells) @ [1, 1j], 0.3 - 0.4j)
    same_points(drawn(ax), np.stack([expected.real, expected.imag], axis=1))
    assert "centre: (0.3, -0.4)" in plain_texts(ax)


def test_labels_point_to_the_frechet_means(hyperbolic):
    ax = curvi.pl.disk(hyperbolic, color="cell_type", centre=3, show=False)
    manifold = curvi.manifolds.from_config(hyperbolic.uns["curvi"]["X_curvi"]["manifold"]).double()
    points = torch.from_numpy(hyperbolic.obsm["X_curvi"]).double()
    assert set(labels(ax)) == {"front", "back", "rim"}
    for name, label in labels(ax).items():
        mean = manifold.mean(points[(hyperbolic.obs["cell_type"] == name).tolist()])
        seen = manifold.to_poincare(manifold.centre(mean, points[3]))
        np.testing.assert_allclose(label.xy, seen, atol=1e-5)


def test_the_rim_and_circles_of_equal_distance_are_drawn_and_named(hyperbolic):
    ax = curvi.pl.disk(hyperbolic, color="cell_type", show=False)
    circles = [patch for patch in ax.patches if isinstance(patch, Circle) and not patch.get_fill()]
    assert all(circle.center == (0, 0) for circle in circles)
    np.testing.assert_allclose(sorted(c.radius for c in circles), [*np.tanh([0.5, 1, 1.5, 2]), 1])
    marks = {text.get_text(): text.get_position() for text in ax.texts if text.get_text().isdigit()}
    assert list(marks) == ["1", "2", "3"]
    for text, place in marks.items():
        assert np.hypot(*place) == pytest.approx(np.tanh(int(text) / 2))
        assert np.abs(drawn(ax) - place).max(1).min() > 0.03
    for line in ax.lines:
        np.testing.assert_allclose(np.hypot(*line.get_data()), 1)
    assert not ax.axison
    ax.figure.draw_without_rendering()
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert max(left, low) < -1
    assert min(right, high) > 1


def test_geodesics_connect_cells_and_means(hyperbolic):
    pairs = [("front", "back"), ("c3", 100), (("cell_type", "rim"), "c0")]
    ax = curvi.pl.disk(hyperbolic, color=["cell_type", "n_genes"], geodesics=pairs, centre="rim", show=False)[0]
    arcs = [patch.get_path() for patch in ax.patches if isinstance(patch, PathPatch)]
    assert len(arcs) == 3
    named = {name: np.array(label.xy) for name, label in labels(ax).items()}
    z = in_ball(hyperbolic) @ [1, 1j]
    manifold = curvi.manifolds.from_config(hyperbolic.uns["curvi"]["X_curvi"]["manifold"]).double()
    points = torch.from_numpy(hyperbolic.obsm["X_curvi"]).double()
    rim = manifold.to_poincare(manifold.mean(points[80:])).numpy() @ [1, 1j]
    cell = {i: np.array([moebius(z[i], rim).real, moebius(z[i], rim).imag]) for i in (0, 3, 100)}
    for arc, ends in zip(
        arcs, [(named["front"], named["back"]), (cell[3], cell[100]), (np.zeros(2), cell[0])], strict=True
    ):
        np.testing.assert_allclose(arc.vertices, geodesic_path(*ends).vertices, atol=1e-4)
    # Straight through the middle, bent elsewhere.
    assert [arc.codes is None for arc in arcs] == [False, False, True]


def test_groups_legend_and_several_panels(hyperbolic):
    figure = curvi.pl.disk(
        hyperbolic, color=["cell_type", "depth", "A"], groups=["rim", "back"], labels="legend", vmin=-1, return_fig=True
    )
    disks = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in disks] == ["cell_type", "depth", "A"]
    assert [text.get_text() for text in disks[0].get_legend().get_texts()] == ["back", "rim", "other"]
    assert disks[1].child_axes[0].get_ylim()[0] == -1
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox().transformed(figure.transFigure.inverted()) for ax in disks]
    assert all(one.x1 <= two.x0 for one, two in zip(boxes, boxes[1:], strict=False))
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)


def test_higher_numbers_are_drawn_over_lower_ones(hyperbolic):
    ax = curvi.pl.disk(hyperbolic, color="n_genes", size=5, alpha=0.5, cmap="magma", show=False)
    np.testing.assert_allclose(drawn(ax), in_ball(hyperbolic), atol=1e-5)
    (scatter,) = ax.collections
    assert set(scatter.get_sizes()) == {5}
    assert set(scatter.get_facecolors()[:, 3]) == {0.5}
    np.testing.assert_allclose(scatter.get_facecolors()[-1, :3], plt.get_cmap("magma")(1.0)[:3])


def test_it_saves_draws_on_given_axes_and_changes_no_data(hyperbolic, tmp_path):
    before = hyperbolic.obsm["X_curvi"].copy()
    curvi.pl.disk(hyperbolic, color="A", save=tmp_path / "disk.pdf")
    assert (tmp_path / "disk.pdf").stat().st_size > 5_000
    assert plt.get_fignums() == []
    _, ax = plt.subplots()
    assert curvi.pl.disk(hyperbolic, color="cell_type", ax=ax, title="Types", show=False) is ax
    assert ax.get_title() == "Types"
    np.testing.assert_array_equal(hyperbolic.obsm["X_curvi"], before)


@pytest.mark.parametrize(
    ("manifold", "sentence"),
    [
        (None, r"no manifold is recorded for `adata.obsm\['X_curvi'\]`; pass `manifold=`"),
        (Sphere(2), r"lies on Sphere\(.*; the disk shows a hyperbolic plane, of dimension 2.*`pl.sphere` or `pl.map`"),
        (Euclidean(2), r"lies on Euclidean\(dim=2\); the disk shows a hyperbolic plane"),
        (Poincare(3), r"lies on Poincare\(dim=3.*of dimension 2. Draw two coordinates of other .* `pl.plane`"),
        (Lorentz(2), r"does not lie on Lorentz\(dim=2.*: points"),
        (Poincare(2, 4.0), r"does not lie on Poincare\(dim=2, curvature=4"),
    ],
)
def test_other_manifolds_are_sentences(cells, manifold, sentence):
    embed(cells, Poincare(2))
    cells.uns["curvi"] = {} if manifold is None else {"X_curvi": {"manifold": manifold.config()}}
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.disk(cells)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"basis": "X_umap"}, "`basis` is 'X_umap', but `adata.obsm` has 'X_curvi'"),
        ({"basis": "nan"}, "does not lie on Poincare.*nan or infinite"),
        ({"centre": "nobody"}, "`centre` is 'nobody', which is no cell"),
        ({"centre": (0.9, 0.9)}, r"`centre` is \(0.9, 0.9\); expected a cell, a category, or a point of 2 numbers on"),
        ({"geodesics": ["front", "back"]}, "`geodesics` has 'front'; expected pairs of places"),
        ({"geodesics": [("c0", "c1", "c2")]}, "`geodesics` has .'c0', 'c1', 'c2'.; expected pairs"),
        ({"geodesics": [("c0", "nobody")]}, "`geodesics` is 'nobody', which is no cell"),
        ({"geodesics": 3}, "`geodesics` has 3; expected pairs"),
        ({"color": "no such"}, "'no such', which is neither"),
        ({"labels": "on_data"}, "`labels` is 'on_data'"),
        ({"title": ["a", "b"]}, "`title` has 2 titles"),
    ],
)
def test_unusable_arguments_are_sentences_and_leave_no_figure(cells, arguments, sentence):
    embed(cells, Poincare(2))
    cells.obsm["nan"] = np.full((120, 2), np.nan)
    cells.uns["curvi"]["nan"] = cells.uns["curvi"]["X_curvi"]
    with pytest.raises(ValueError, match=sentence):
        curvi.pl.disk(cells, **({"show": False} | arguments))
    assert plt.get_fignums() == []


def test_no_cells_is_a_sentence_and_one_cell_is_drawn(cells):
    embed(cells, Poincare(2))
    with pytest.raises(ValueError, match="no cells"):
        curvi.pl.disk(cells[:0])
    assert len(drawn(curvi.pl.disk(cells[:1], color="cell_type", show=False))) == 1
