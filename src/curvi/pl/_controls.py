"""The parts of a widget that chooses a latent point: sliders, lists, fields and buttons beside an image."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from curvi.pl._optional import needed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Sliders have at least so many steps.
_STEPS = 100


@dataclass(frozen=True)
class Controls:
    """Widgets of ipywidgets, whose values are read and set, side by side in ``all``.

    Attributes
    ----------
    sliders
        The slider of each coordinate, by its name.
    levels
        The choice of the category of each batch level, by its name.
    continuous
        The field for the value of each continuous covariate, by its name.
    row
        The field for the number of an image of the data, -1 for none; None without data.
    random
        The button for a draw from the prior; None where there is none.
    reset
        The button that leads back.
    image
        The image.
    all
        The whole widget.
    """

    sliders: dict[str, Any]
    levels: dict[str, Any]
    continuous: dict[str, Any]
    row: Any
    random: Any
    reset: Any
    image: Any
    all: Any


def make_controls(
    ranges: Mapping[str, tuple[float, float]],
    levels: Mapping[str, Sequence[Any]],
    batch: Mapping[str, Any],
    continuous: Mapping[str, float],
    n_rows: int,
    *,
    has_prior: bool,
) -> Controls:
    """The controls of a latent space.

    Parameters
    ----------
    ranges
        The ends of the slider of each coordinate.
    levels, batch
        The categories of each batch level, and that to begin with.
    continuous
        The value of each continuous covariate to begin with.
    n_rows
        How many images of the data there are to choose from; 0 for none.
    has_prior
        Whether there is something to draw from.

    Raises
    ------
    ImportError
        If ipywidgets is not installed.
    """
    kit: Any = needed("ipywidgets", "`pl.sliders`", "notebook")
    labels = {"description_width": "initial"}
    # The longest name has room beside its slider, and all sliders begin at one place.
    room = f"{0.6 * max(map(len, ranges)) + 0.5:.1f}em"
    sliders = {name: _slider(kit, name, low, high, room) for name, (low, high) in ranges.items()}
    choices = {
        name: kit.Dropdown(options=[(str(c), c) for c in known], value=batch[name], description=name, style=labels)
        for name, known in levels.items()
    }
    fields = {
        name: kit.FloatText(value=float(value), description=name, style=labels) for name, value in continuous.items()
    }
    row = None
    if n_rows:
        row = kit.BoundedIntText(value=-1, min=-1, max=n_rows - 1, description="image of the data", style=labels)
        row.tooltip = "its number; -1 for where the sliders started"
    draw = kit.Button(description="Random", tooltip="a point drawn from the prior") if has_prior else None
    reset = kit.Button(description="Reset", tooltip="back to the start")
    image = kit.Image(format="png", layout=kit.Layout(object_fit="contain", margin="2px 1em 2px 2px"))
    # More sliders than fit beside an image scroll.
    column = kit.VBox(list(sliders.values()), layout=kit.Layout(max_height="26em", overflow="auto"))
    others = [*choices.values(), *fields.values(), *([] if row is None else [row])]
    buttons = kit.HBox([reset] if draw is None else [draw, reset])
    beside = kit.VBox([column, *others, buttons])
    layout = kit.Layout(align_items="flex-start")
    return Controls(sliders, choices, fields, row, draw, reset, image, kit.HBox([image, beside], layout=layout))


def move(slider: Any, value: float) -> None:
    """Set a slider to any value; its range grows by whole steps where it has to."""
    low, high = _ends(value, value, slider.step)
    if value > slider.max:
        slider.max = high
    if value < slider.min:
        slider.min = low
    slider.value = value


def nearest_step(slider: Any) -> float:
    """The step next to the value of a slider, to which a browser moves it."""
    return min(slider.min + round((slider.value - slider.min) / slider.step) * slider.step, slider.max)


def _ends(low: float, high: float, step: float) -> tuple[float, float]:
    """The steps between which a range lies."""
    return floor(low / step) * step, ceil(high / step) * step


def _slider(kit: Any, name: str, low: float, high: float, room: str) -> Any:
    """A slider whose steps are 1, 0.1, 0.01, ..., and that meets round numbers."""
    decimals = floor(log10((high - low) / _STEPS))
    step = 10.0**decimals
    low, high = _ends(low, high, step)
    return kit.FloatSlider(
        value=min(max(0.0, low), high),
        min=low,
        max=high,
        step=step,
        description=name,
        readout_format=f".{max(0, -decimals)}f",
        style={"description_width": room},
        layout=kit.Layout(width="24em", min_height="1.9em"),
    )
