"""The manifold that is recorded chooses the picture."""

from __future__ import annotations

import pytest
import torch
from matplotlib import pyplot as plt

from curvi import manifolds, pl
from curvi.pipeline import _pictures, draw

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"name": "sphere", "dim": 2}, "sphere"),
        ({"name": "sphere", "dim": 5}, "plane"),
        ({"name": "lorentz", "dim": 2, "curvature": 0.5}, "disk"),
        ({"name": "poincare", "dim": 2}, "disk"),
        ({"name": "poincare", "dim": 5}, "plane"),
        ({"name": "euclidean", "dim": 3}, "plane"),
        (None, "plane"),
    ],
)
def test_the_picture_suits_the_manifold(cells, tmp_path, monkeypatch, record, expected):
    called = []
    before = plt.get_fignums()
    for name in ("sphere", "disk", "plane"):
        original = getattr(pl, name)

        def spy(*args, original=original, name=name, **kwargs):
            called.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(pl, name, spy)
    spied = {key: getattr(pl, picture.__name__) for key, picture in _pictures._PICTURES.items()}
    monkeypatch.setattr(_pictures, "_PICTURES", spied)
    if expected == "disk":
        tangent = torch.from_numpy(cells.obsm["latent"][:, :2])
        cells.obsm["latent"] = manifolds.from_config(record).exp0(tangent).numpy()
    if record is not None:
        cells.uns["curvi"] = {"latent": {"manifold": record}}
    draw(cells, tmp_path / "new" / "a.png", "latent", ["cell_type", "gene3"])
    assert called == [expected]
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(PNG)
    assert plt.get_fignums() == before


def test_unknown_colour_and_format(cells, tmp_path):
    with pytest.raises(ValueError, match="'nowhere', which is neither a column"):
        draw(cells, tmp_path / "a.png", "latent", "nowhere")
    with pytest.raises(ValueError, match="Format 'foo' is not supported"):
        draw(cells, tmp_path / "a.foo", "latent")
    plt.close("all")
