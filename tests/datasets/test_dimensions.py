"""Image sizes are read as the file is hashed, and are no part of a version's identity."""

from __future__ import annotations

import io

import msgspec
import pytest
from PIL import Image

from epochal.datasets import Manifest, scan


def picture(form: str, size: tuple[int, int] = (321, 123), **how: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, form, **how)
    return out.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG whose metadata hold another JPEG."""
    application = b"Exif\0\0" + picture("JPEG", (16, 8))
    plain = picture("JPEG")
    length = (len(application) + 2).to_bytes(2, "big")
    return plain[:2] + b"\xff\xe1" + length + application + plain[2:]


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("jpg", picture("JPEG")),
        ("jpeg", picture("JPEG", progressive=True)),
        ("jpg", with_thumbnail()),
        ("jpg", picture("JPEG", exif=b"Exif\0\0" + bytes(60_000), comment=b"x" * 60_000)),
        ("png", picture("PNG")),
        ("jpg", picture("PNG")),
        ("bmp", picture("BMP")),
        ("webp", picture("WEBP")),
        ("tiff", picture("TIFF")),
    ],
)
def test_size_of_each_format_from_first_look_and_from_cache(folder, later, suffix, content):
    (folder.root / f"images/val/picture.{suffix}").write_bytes(content)
    first = scan(folder.yaml, clock=later)
    again = scan(folder.yaml, previous=first.cache)
    assert again.read == 0
    for found in first, again:
        (entry,) = [e for e in found.manifest.entries if "picture" in e.path]
        assert (entry.width, entry.height) == (321, 123)


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\xff\xd8\xff", picture("JPEG")[:30], picture("PNG")[:18]]
)
def test_broken_header_has_no_size(folder, content):
    folder.add("val", "broken", None, content)
    (entry,) = [e for e in scan(folder.yaml).manifest.entries if "broken" in e.path]
    assert (entry.width, entry.height) == (0, 0)


def test_sizes_are_no_part_of_the_identity(folder):
    folder.add("val", "picture", None, picture("PNG"))
    manifest = scan(folder.yaml).manifest
    without = Manifest(
        manifest.header,
        [msgspec.structs.replace(e, width=0, height=0) for e in manifest.entries],
    )
    assert without != manifest
    assert without.digest == manifest.digest
    assert without.splits == manifest.splits
