"""Image files beside labels: their sizes from the headers, their digests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from epochal.datasets.dimensions import shown_size
from epochal.datasets.yolo import IMAGE_SUFFIXES
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["find_images", "image_sizes"]


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
                sizes[name] = shown_size(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InvalidInput(
                f"{path} cannot be read as an image ({error})", "Replace the file or its labels"
            ) from error
        if progress is not None:
            progress(index + 1, len(files))
    return sizes
