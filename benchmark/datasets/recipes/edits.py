"""The changes of images that editors of INRs learn, by the libraries that define them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from benchmark.errors import UserError

Edit = Literal["dilate", "contrast"]


def apply(edit: Edit, image: np.ndarray) -> np.ndarray:
    """Edit an image, `[height, width]` or `[height, width, 3]` uint8.

    dilate: every pixel becomes the largest of its 3x3 neighbourhood, once (Pillow's MaxFilter;
    OpenCV's dilate with a 3x3 kernel gives the same).
    contrast: the lightness of CIE L*a*b* is equalised by OpenCV's CLAHE, with a clip limit of 1
    on 3x3 tiles.

    Both are as in NFN's published experiments, which read the channels in OpenCV's order, blue
    first, and so does this.
    """
    if edit == "dilate":
        return np.asarray(Image.fromarray(image).filter(ImageFilter.MaxFilter(3)))
    try:
        import cv2
    except ImportError:
        raise UserError(
            "contrast needs OpenCV, which is not installed: pip install opencv-python-headless"
        ) from None
    lightness, green_red, blue_yellow = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2LAB))
    equalised = cv2.createCLAHE(clipLimit=1.0, tileGridSize=(3, 3)).apply(lightness)
    return cv2.cvtColor(cv2.merge((equalised, green_red, blue_yellow)), cv2.COLOR_LAB2BGR)
