"""Image files beside labels: their sizes from the headers, their digests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from epochal.datasets.yolo import IMAGE_SUFFIXES
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["find_images", "image_sizes"]

_ORIENTATION = 274  # EXIF tag
_SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations whose sides are swapped when shown


def find_images(folder: Path) -> dict[str, Path]:
    """Return the images below `folder` by their path relative to it, with ``/``.

    Raises
    ------
    InvalidInput
        There are none.
    """
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix[1:].lower() in IMAGE_SUFFIXES and path.is_file()
    }
    if not found:
        raise InvalidInput(
            f"no images in {folder}", f"Images end in {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found


def image_sizes(
    files: Mapping[str, Path], progress: Callable[[int, int], None] | None = None
) -> dict[str, tuple[int, int]]:
    """Return width and height in pixels of each image, as it is shown (EXIF orientation applied).

    Only headers are read.

    Raises
    ------
    InvalidInput
        A file is no image that can be read; it is named.
    """
    from PIL import Image  # a reader of many formats, needed here alone

    sizes = {}
    for index, (name, path) in enumerate(files.items()):
        try:
            with Image.open(path) as image:
                width, height = image.size
                if image.format in ("JPEG", "MPO"):
                    turned = image.getexif().get(_ORIENTATION) in _SIDEWAYS
                    width, height = (height, width) if turned else (width, height)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InvalidInput(
                f"{path} cannot be read as an image ({error})", "Replace the file or its labels"
            ) from error
        sizes[name] = (width, height)
        if progress is not None:
            progress(index + 1, len(files))
    return sizes
