"""Sheets of images, for people who would rather look than read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor


def to_pixels(values: Tensor, height: int, width: int) -> np.ndarray:
    """Turn drawings in [-1, 1], `[n, height * width, channels]`, into pixels.

    Returns `[n, height, width]` (grey) or `[n, height, width, 3]`, uint8.
    """
    scaled = ((values.double().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    images = scaled.reshape(len(values), height, width, -1).cpu().numpy()
    return images[..., 0] if images.shape[-1] == 1 else images


def sheet(rows: Sequence[tuple[str, np.ndarray]], zoom: int = 4) -> Image.Image:
    """Draw named rows of images, as `to_pixels` makes them, one under the other, enlarged."""
    count, height, width = rows[0][1].shape[:3]
    margin, gap = 90, 2
    size = (margin + count * (width * zoom + gap), len(rows) * (height * zoom + gap))
    picture = Image.new("L" if rows[0][1].ndim == 3 else "RGB", size, "white")
    brush = ImageDraw.Draw(picture)
    for index, (name, row) in enumerate(rows):
        top = index * (height * zoom + gap)
        brush.text((4, top + height * zoom // 2 - 6), name, fill="black")
        for column, tile in enumerate(row):
            enlarged = Image.fromarray(tile).resize(
                (width * zoom, height * zoom), Image.Resampling.NEAREST
            )
            picture.paste(enlarged, (margin + column * (width * zoom + gap), top))
    return picture
