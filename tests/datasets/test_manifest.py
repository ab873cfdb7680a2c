from __future__ import annotations

import io
import random

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from epochal.datasets import (
    Manifest,
    load_manifest,
    manifest_path,
    read_manifest,
    save_manifest,
    scan,
    write_manifest,
)
from epochal.errors import Damaged, InvalidInput, NewerFormat, NotFound


def written(manifest):
    file = io.BytesIO()
    assert write_manifest(file, manifest.header, manifest.entries) == manifest.digest
    return file.getvalue()


def read(content, digest=None):
    header, entries = read_manifest(io.BytesIO(content), digest)
    return Manifest(header, entries)


@given(st.data())
def test_round_trip(manifests, data):
    manifest = data.draw(manifests)
    assert read(written(manifest), manifest.digest) == manifest


@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_nothing(manifests, data, random):
    manifest = data.draw(manifests)
    entries = random.sample(manifest.entries, len(manifest.entries))
    assert Manifest(manifest.header, entries).digest == manifest.digest


@given(st.data())
def test_equal_digests_mean_equal_identities(manifests, data):
    a, b = data.draw(manifests), data.draw(manifests)
    same = a.header == b.header and [e.identity for e in a.entries] == [
        e.identity for e in b.entries
    ]
    assert (a.digest == b.digest) == same


@given(st.data())
def test_what_is_derived_or_local_is_not_identity(manifests, data):
    manifest = data.draw(manifests)
    local = [msgspec.structs.replace(e, size=1, objects=(), label="") for e in manifest.entries]
    assert Manifest(manifest.header, local).digest == manifest.digest


def test_splits_and_numbers(folder):
    manifest = scan(folder.yaml).manifest
    assert sum(s.images for s in manifest.splits.values()) == len(manifest.entries)
    for name, split in manifest.splits.items():
        assert split.objects == sum(manifest.balance(name).values())
        assert len({split.digest, split.images_digest, split.labels_digest}) == 3


def test_an_entry_twice_is_refused(folder):
    manifest = scan(folder.yaml).manifest
    with pytest.raises(InvalidInput, match="twice"):
        Manifest(manifest.header, [*manifest.entries, manifest.entries[0]])
    with pytest.raises(ValueError):
        write_manifest(io.BytesIO(), manifest.header, reversed(manifest.entries))


def test_every_flipped_or_missing_byte_is_detected(folder):
    manifest = scan(folder.yaml).manifest
    content = written(manifest)
    harmless = 0
    for i in range(len(content)):
        bits = (content[i] ^ 0x01, content[i] ^ 0x80)
        for damaged in [content[:i], *(content[:i] + bytes([b]) + content[i + 1 :] for b in bits)]:
            try:
                # a flip in an option of the frame may leave every decompressed byte as it was
                assert read(damaged) == manifest
                harmless += 1
            except Damaged:
                pass
    assert harmless <= 8


def test_lines_that_were_changed_and_compressed_again_are_detected(folder):
    manifest = scan(folder.yaml).manifest
    lines = (
        zstandard.ZstdDecompressor().decompressobj().decompress(written(manifest)).splitlines(True)
    )

    def packed(changed):
        return zstandard.ZstdCompressor().compress(b"".join(changed))

    assert read(packed(lines)) == manifest
    swapped = [lines[0], lines[2], lines[1], *lines[3:]]
    damaged = [lines[:-1], lines[1:], swapped, [*lines, lines[1]], [*lines[:2], *lines[1:]]]
    damaged += [[line.replace(b'"size":9', b'"size":8') for line in lines], [lines[0]], []]
    damaged += [[lines[0], b"x" * 9_000_000]]
    for changed in damaged:
        with pytest.raises(Damaged):
            read(packed(changed))
    newer = [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]]
    with pytest.raises(NewerFormat):
        read(packed(newer))


@given(st.binary(max_size=300))
def test_any_other_bytes_are_damaged(content):
    with pytest.raises(Damaged):
        read(content)
    with pytest.raises(Damaged):
        read(zstandard.ZstdCompressor().compress(content))


def test_saved_and_loaded(folder, tmp_path):
    manifest = scan(folder.yaml).manifest
    datasets = tmp_path / "datasets"
    file = save_manifest(datasets, manifest)
    assert save_manifest(datasets, manifest) == file
    assert [f.name for f in datasets.iterdir()] == [file.name]
    assert load_manifest(datasets, manifest.digest) == manifest

    other = "0" * 64
    with pytest.raises(NotFound):
        load_manifest(datasets, other)
    file.rename(manifest_path(datasets, other))
    with pytest.raises(Damaged, match="holds version"):
        load_manifest(datasets, other)
    with pytest.raises(InvalidInput):
        manifest_path(datasets, "../" * 20)


def test_reading_needs_no_memory_for_the_whole(folder):
    import tracemalloc

    template = scan(folder.yaml).manifest
    entry = template.entries[0]
    rng = random.Random(0)

    def many(n):
        for i in range(n):
            yield msgspec.structs.replace(
                entry, path=f"images/{i:09}.jpg", image=f"{rng.getrandbits(256):064x}"
            )

    file = io.BytesIO()
    digest = write_manifest(file, template.header, many(20_000))
    file.seek(0)
    tracemalloc.start()
    _, entries = read_manifest(file, digest)
    assert sum(1 for _ in entries) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
