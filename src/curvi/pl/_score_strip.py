"""A curve of scores on which a dot runs, for below the images of a film."""

from __future__ import annotations

from math import floor, log10

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from curvi.pl._panels import LINE, PAPER

# It is drawn so many times as large and then made smaller, for smooth lines.
_FINE = 4
_DOT, _DASH, _WORDS = "#d9622b", "#a9b4bf", "#4a5763"


class ScoreStrip:
    """A strip with the curve of some scores, their name, and the present one as a dot and a number.

    Parameters
    ----------
    scores
        The scores, `(n,)`, finite.
    typical
        Where a dashed line runs; None for none.
    name
        What the scores are called; left out where it has no room.
    width
        Pixels.
    """

    def __init__(self, scores: np.ndarray, typical: float | None, name: str, width: int) -> None:
        self._scores, self._name, self._width = scores, name, width
        # Three digits of the largest, and all with as many decimals, so that they stand still.
        largest = float(np.abs(scores).max()) or 1.0
        self._decimals = max(0, 2 - floor(log10(largest)))
        self.height = int(np.clip(round(0.24 * width), 36, 64))
        self._font = ImageFont.load_default(size=float(np.clip(round(0.27 * self.height), 8, 14)))
        top, bottom = 0.48 * self.height, 0.88 * self.height
        margin = max(4.0, 0.04 * width)
        known = scores if typical is None else np.append(scores, typical)
        low, spread = known.min(), np.ptp(known) or 1.0
        across = margin + (width - 2 * margin) * np.linspace(0, 1, len(scores))
        heights = bottom - (bottom - top) * (known - low) / spread
        self._places = np.stack([across, heights[: len(scores)]], axis=1)
        self._ground = Image.new("RGB", (_FINE * width, _FINE * self.height), PAPER)
        draw = ImageDraw.Draw(self._ground)
        if typical is not None:
            level = float(heights[-1])
            for start in np.arange(margin, width - margin, 6.0):
                dash = [start, level, min(start + 3.0, width - margin), level]
                draw.line([_FINE * number for number in dash], fill=_DASH, width=_FINE)
        curve = (_FINE * self._places).ravel().tolist()
        draw.line(curve, fill=LINE, width=round(1.3 * _FINE), joint="curve")

    def at(self, i: int) -> np.ndarray:
        """The strip with the dot at score ``i``, `(height, width, 3)`, 0 to 255."""
        large = self._ground.copy()
        x, y = _FINE * self._places[i]
        r = _FINE * max(2.5, 0.065 * self.height)
        ImageDraw.Draw(large).ellipse([x - r, y - r, x + r, y + r], fill=_DOT)
        strip = large.resize((self._width, self.height), Image.Resampling.BOX)
        draw = ImageDraw.Draw(strip)
        left, top = max(3.0, 0.025 * self._width), 0.06 * self.height
        number = f"{self._scores[i]:.{self._decimals}f}"
        lengths = [draw.textlength(text, font=self._font) for text in (self._name, number)]
        if lengths[1] + 2 * left <= self._width:
            draw.text((self._width - left, top), number, fill=_DOT, font=self._font, anchor="ra")
        if sum(lengths) + 3 * left <= self._width:
            draw.text((left, top), self._name, fill=_WORDS, font=self._font, anchor="la")
        return np.asarray(strip)
