"""Images along a path, one after the other, as a film."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from curvi.pl._color import listed
from curvi.pl._decoded import decoded_images, shape_of
from curvi.pl._mosaic import ImageStyle
from curvi.pl._optional import needed
from curvi.pl._pixels import as_bytes, enlarged, enlargement
from curvi.pl._score_strip import ScoreStrip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from matplotlib.colors import Colormap
    from numpy.typing import ArrayLike

    from curvi import explore
    from curvi.model import CurviVAE

# Players show shorter pictures of a GIF for a tenth of a second.
_SHORTEST = 0.02


@dataclass(frozen=True)
class Film:
    """A film in a file; a notebook plays it.

    Attributes
    ----------
    file
        Where it is.
    n_frames
        How many images it shows.
    fps
        How many of them in a second.
    loop
        Whether it begins again at its end.
    """

    file: Path
    n_frames: int
    fps: float
    loop: bool

    def __fspath__(self) -> str:
        return str(self.file)

    def _repr_html_(self) -> str:
        """The film itself, not a link, so that it is kept with the notebook."""
        data = b64encode(self.file.read_bytes()).decode("ascii")
        if self.file.suffix.lower() == ".gif":
            return f'<img src="data:image/gif;base64,{data}" alt="{self.n_frames} images along a path">'
        again = " loop" if self.loop else ""
        return f'<video controls autoplay muted{again} src="data:video/mp4;base64,{data}"></video>'


def film(
    model: CurviVAE,
    path: explore.Path,
    file: str | Path,
    *,
    fps: float = 20.0,
    loop: bool = True,
    scale: int | None = None,
    scores: ArrayLike | None = None,
    score_name: str = "drift",
    typical: float | None = None,
    batch: Mapping[str, object] | None = None,
    continuous: Mapping[str, object] | None = None,
    channel: int | None = None,
    cmap: str | Colormap = "gray",
    vmin: float = 0.0,
    vmax: float = 1.0,
) -> Film:
    """Write the expected images along a path as a film, one a point.

    Parameters
    ----------
    model
        A model trained on images.
    path
        The points, from :func:`curvi.explore.loop`, :func:`curvi.explore.line` or :func:`curvi.explore.points`.
    file
        What to write. The ending says how: ``.gif``, or ``.mp4``, which needs ``pip install 'curvi[plot]'``.
    fps
        Images in a second: 0.1 to 50 in a GIF, which counts in hundredths of a second, to 120 in an MP4.
    loop
        Whether the film begins again at its end, as that of a closed path should. An MP4 leaves that to the player.
    scale
        How many pixels wide and high each pixel is drawn; by default as many as make the longer side of an image 200
        or more.
    scores
        A number for each point, `(n,)`, such as how far it drifts, from :func:`curvi.explore.drift`: a curve below the
        image, on which a dot runs.
    score_name
        What is written beside the number.
    typical
        A number to compare them with, such as the median of the cells' own drift: a dashed line.
    batch, continuous
        The category of each batch level and the value of each continuous covariate, or one for each point, as in
        :meth:`curvi.CurviVAE.decode`.
    channel, cmap, vmin, vmax
        As in :func:`curvi.pl.images`.

    Returns
    -------
    What was written, which a notebook shows; it can be passed wherever a path is expected. A GIF has 256 colours for
    each image, so that grey ones are exact, and shows images that follow each other and are the same as one.

    Raises
    ------
    ValueError
        If the ending is unknown, the model was not trained on images, the points do not lie on its manifold, a level or
        covariate of it is not given, or an argument is out of its range.
    FileNotFoundError
        If the folder of the file does not exist.
    ImportError
        If it is to be an MP4 and the package for it is not installed.

    Examples
    --------
    >>> import curvi, pathlib, tempfile
    >>> adata = curvi.datasets.digits()
    >>> curvi.CurviVAE.setup_anndata(adata)
    >>> model = curvi.CurviVAE(adata, latent="vmf", n_latent=2, likelihood="bernoulli")
    >>> model.train(max_epochs=1, enable_progress_bar=False, logger=None)
    >>> model.embed()
    >>> way = curvi.explore.loop(adata, "label", "3", n_stops=4, n_frames=12)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = curvi.pl.film(model, way, pathlib.Path(folder) / "threes.gif")
    >>> made.n_frames
    12
    """
    target = Path(file)
    write = _writer(target, fps)
    style = ImageStyle(channel, cmap, vmin, vmax, size=1.0)
    times = enlargement(shape_of(model), scale)
    if scores is None and typical is not None:
        raise ValueError(f"`typical` is {typical}, but there are no `scores` to compare with it.")
    values = None if scores is None else _checked(scores, len(path.points))
    tiles = as_bytes(style.tiles(decoded_images(model, path.points, batch, continuous)))
    strip = None if values is None else ScoreStrip(values, typical, score_name, tiles.shape[2] * times)
    write(target, (_frame(tile, times, strip, i) for i, tile in enumerate(tiles)), fps, loop)
    return Film(target, len(tiles), fps, loop)


def _writer(file: Path, fps: float) -> Callable[[Path, Iterable[np.ndarray], float, bool], None]:
    """What writes films with the ending of a file, once it is known that it can."""
    known = {".gif": (_write_gif, 1 / _SHORTEST), ".mp4": (_write_mp4, 120.0)}
    suffix = file.suffix.lower()
    if suffix not in known:
        raise ValueError(f"`file` is {str(file)!r}; expected a name that ends in one of {listed(known)}.")
    write, fastest = known[suffix]
    if not 0.1 <= fps <= fastest:
        raise ValueError(f"`fps` is {fps}; expected 0.1 to {fastest:g} images in a second in a {suffix} file.")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"`file` is {str(file)!r}, but there is no folder {str(file.parent)!r}; make it first.")
    if suffix == ".mp4":
        for module in ("imageio.v2", "imageio_ffmpeg"):
            needed(module, "an MP4 film", "plot")
    return write


def _checked(scores: ArrayLike, n: int) -> np.ndarray:
    """One finite number a point, `(n,)`."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(f"`scores` has shape {values.shape}; expected one finite number for each point, ({n},).")
    return values


def _frame(tile: np.ndarray, times: int, strip: ScoreStrip | None, i: int) -> np.ndarray:
    """An image `(h, w, 3)`, enlarged, above its place on the curve."""
    large = enlarged(tile, times)
    return large if strip is None else np.concatenate([large, strip.at(i)])


def _write_gif(file: Path, frames: Iterable[np.ndarray], fps: float, loop: bool) -> None:
    pictures = [Image.fromarray(frame).quantize(256, Image.Quantize.MAXCOVERAGE) for frame in frames]
    # In whole hundredths of a second that add up to the right time.
    ends = np.round(100 * np.arange(len(pictures) + 1) / fps).astype(int)
    again = {"loop": 0} if loop else {}
    durations = (10 * np.diff(ends)).tolist()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=durations, **again)


def _write_mp4(file: Path, frames: Iterable[np.ndarray], fps: float, loop: bool) -> None:
    imageio = needed("imageio.v2", "an MP4 film", "plot")
    settings = {
        "codec": "libx264",
        "quality": None,
        "output_params": ["-crf", "16"],
        "pixelformat": "yuv420p",
        "macro_block_size": 1,
    }
    with imageio.get_writer(file, format="FFMPEG", mode="I", fps=fps, **settings) as writer:
        for frame in frames:
            # Colour is kept for squares of four pixels, so that sides must be even.
            odd = [(0, side % 2) for side in frame.shape[:2]]
            writer.append_data(np.pad(frame, [*odd, (0, 0)], mode="edge"))
