"""The letters that name a picture's edges, as pixels of our own: no font from outside, the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT = 7
WIDTH = 5

_SHAPES = {
    "A": " ### |#   #|#   #|#####|#   #|#   #|#   #",
    "F": "#####|#    |#    |#### |#    |#    |#    ",
    "H": "#   #|#   #|#   #|#####|#   #|#   #|#   #",
    "L": "#    |#    |#    |#    |#    |#    |#####",
    "P": "#### |#   #|#   #|#### |#    |#    |#    ",
    "R": "#### |#   #|#   #|#### |# #  |#  # |#   #",
}


def letter_pixels(letter: str) -> NDArray[np.bool_]:
    """Return the (7, 5) pixels of A, F, H, L, P or R, True where there is ink."""
    return np.array([[mark == "#" for mark in row] for row in _SHAPES[letter].split("|")])
