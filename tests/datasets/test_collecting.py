from __future__ import annotations

import os
import time

import pytest

from epochal.datasets import (
    collect,
    load_manifest,
    load_snapshot,
    make_snapshot,
    save_manifest,
    scan,
    tag,
)
from epochal.datasets.restoring import restore
from epochal.datasets.snapshots import snapshot_path
from epochal.errors import Refused
from epochal.journal.folder import Folder
from epochal.records import Artifact
from epochal.store.store import Store

LATER = 30 * 86400.0


@pytest.fixture
def store(tmp_path):
    (tmp_path / "ws").mkdir()
    with Store(Folder.create(tmp_path / "ws")) as store:
        yield store


def tagged(store, folder, ref):
    found = scan(folder.yaml)
    done = tag(folder.yaml, ref, existing={}, scanned=found)
    save_manifest(store.folder.datasets, done.manifest)
    make_snapshot(store.folder.datasets, store.blobs, found)
    store.record(done.record)
    return done.manifest


def later(store, **options):
    return collect(store.folder, store.blobs, now=time.time() + LATER, **options)


def test_nothing_that_a_tag_needs_is_touched(store, folder, tmp_path):
    folder.add("train", "big", None, os.urandom(100_000))
    manifest = tagged(store, folder, "pallets@v1")
    found = later(store)
    assert (found.blobs, found.manifests, found.snapshots) == (0, 0, 0)
    assert found.kept == 2
    assert load_manifest(store.folder.datasets, manifest.digest) == manifest
    snapshot = load_snapshot(store.folder.datasets, store.blobs, manifest.digest)
    restore(snapshot, manifest, tmp_path / "back")


def test_what_an_interrupted_snapshot_left_goes_when_it_is_old(store, folder):
    manifest = tagged(store, folder, "pallets@v1")
    folder.add("train", "big", None, os.urandom(100_000))
    found = scan(folder.yaml)
    digest = store.blobs.put_file(folder.image("train", "big"))
    (store.folder.blobs / ".part-1-abc").write_bytes(b"half")
    young = collect(store.folder, store.blobs)
    assert (young.blobs, young.leftovers) == (0, 0)
    said = later(store, dry_run=True)
    assert (said.blobs, said.leftovers) == (1, 1)
    assert digest in store.blobs
    assert later(store).blobs == 1
    assert digest not in store.blobs
    assert later(store).blobs == 0
    load_snapshot(store.folder.datasets, store.blobs, manifest.digest)
    # It can be made again.
    make_snapshot(store.folder.datasets, store.blobs, found)
    assert digest in store.blobs


def test_a_snapshot_without_a_tag_goes_with_all_it_kept(store, folder):
    found = scan(folder.yaml)
    save_manifest(store.folder.datasets, found.manifest)
    make_snapshot(store.folder.datasets, store.blobs, found)
    assert collect(store.folder, store.blobs).blobs == 0
    gone = later(store)
    assert (gone.snapshots, gone.manifests, gone.blobs) == (1, 1, 1)


def test_what_any_record_or_its_document_names_stays(store, tmp_path, monkeypatch):
    import epochal

    monkeypatch.setenv("EPOCHAL_STRICT", "1")
    inner = store.blobs.put(b"matches")
    document = store.blobs.put(b'{"matches": "' + inner.encode() + b'"}')
    unnamed = store.blobs.put(b"nobody")
    run = epochal.init(project="p", name="v1", workspace=store.folder.root, capture=False)
    run.record(Artifact(key="weights/best.pt", digest=document, size=1))
    run.finish()
    assert later(store).blobs == 1
    assert document in store.blobs
    assert inner in store.blobs
    assert unnamed not in store.blobs


def test_a_needed_snapshot_that_cannot_be_read_stops_it_before_anything_goes(store, folder):
    manifest = tagged(store, folder, "pallets@v1")
    unnamed = store.blobs.put(b"nobody")
    snapshot_path(store.folder.datasets, manifest.digest).write_bytes(b"broken")
    with pytest.raises(Refused, match="nothing was removed"):
        later(store)
    assert unnamed in store.blobs


def test_content_that_is_kept_again_is_young_again(store, folder):
    folder.add("train", "big", None, os.urandom(100_000))
    digest = store.blobs.put_file(folder.image("train", "big"))
    old = time.time() - LATER
    os.utime(store.blobs.path(digest), (old, old))
    make_snapshot(store.folder.datasets, store.blobs, scan(folder.yaml))
    assert store.blobs.path(digest).stat().st_mtime > old + LATER / 2
