"""Image sizes, as shown, are read as the file is hashed; they are no part of the identity."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest
from PIL import ExifTags, Image, ImageOps

from epochal.datasets import Manifest, ScanCache, difference, scan

if TYPE_CHECKING:
    from tests.datasets.conftest import YoloFolder


def picture(form: str, size: tuple[int, int] = (321, 123), **how: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, form, **how)
    return out.getvalue()


def with_application(content: bytes) -> bytes:
    """A JPEG that begins with an application segment of the given content."""
    plain = picture("JPEG")
    length = (len(content) + 2).to_bytes(2, "big")
    return plain[:2] + b"\xff\xe1" + length + content + plain[2:]


def with_thumbnail() -> bytes:
    """A JPEG whose metadata hold another JPEG."""
    return with_application(b"Exif\0\0" + picture("JPEG", (16, 8)))


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def orientation_as(order: str, kind: str, value: int) -> bytes:
    """A directory of one entry, written by hand: byte order, type and value of the orientation."""
    types = {"H": 3, "I": 4}
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI{kind}", 0x0112, types[kind], 1, value).ljust(12, b"\0")
    return b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def sizes(folder: YoloFolder, content: bytes, suffix: str = "jpg") -> tuple[int, int]:
    (folder.root / f"images/val/picture.{suffix}").write_bytes(content)
    (entry,) = [e for e in scan(folder.yaml).manifest.entries if "picture" in e.path]
    return entry.width, entry.height


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


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize(
    ("form", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")]
)
def test_size_is_of_the_image_as_it_is_shown(folder, form, suffix, orientation):
    content = picture(form, exif=oriented(orientation))
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert sizes(folder, content, suffix) == shown.size


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_in_either_byte_order(folder, order):
    assert sizes(folder, with_application(orientation_as(order, "H", 6))) == (123, 321)
    assert sizes(folder, with_application(orientation_as(order, "H", 3))) == (321, 123)


@pytest.mark.parametrize(
    "broken",
    [
        orientation_as("<", "I", 6),
        orientation_as("<", "H", 6)[:20],
        orientation_as("<", "H", 60_000),
        b"Exif\0\0XX*\0" + bytes(30),
        b"Exif\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_orientation_that_cannot_be_told_turns_nothing(folder, broken):
    assert sizes(folder, with_application(broken)) == (321, 123)


def test_orientation_behind_other_metadata_and_in_a_long_header(folder):
    turned = picture("JPEG", exif=oriented(8), comment=b"x" * 60_000)
    assert sizes(folder, turned) == (123, 321)
    assert sizes(folder, picture("JPEG", exif=oriented(8), icc_profile=bytes(90_000))) == (
        123,
        321,
    )


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


def test_version_that_was_tagged_with_other_sizes_has_not_drifted(folder):
    folder.add("val", "picture", None, picture("JPEG", exif=oriented(6)))
    now = scan(folder.yaml).manifest
    before = Manifest(
        now.header,
        [msgspec.structs.replace(e, width=e.height, height=e.width) for e in now.entries],
    )
    assert before != now
    assert before.digest == now.digest
    assert difference(before, now).is_empty


def test_sizes_of_an_earlier_cache_are_measured_again(folder, later, tmp_path):
    folder.add("val", "picture", None, picture("JPEG", exif=oriented(6)))
    found = scan(folder.yaml, clock=later)
    earlier = msgspec.structs.replace(found.cache, format=found.cache.format - 1)
    earlier.save(tmp_path / "earlier.zst")
    found.cache.save(tmp_path / "now.zst")
    assert ScanCache.load(tmp_path / "earlier.zst") is None
    assert ScanCache.load(tmp_path / "now.zst") is not None
