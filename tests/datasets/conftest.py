from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from epochal.datasets import Manifest, ManifestEntry, ManifestHeader

CLASSES = ("circle", "square", "triangle", "star")


class YoloFolder:
    """A small dataset in YOLO layout that tests change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.yaml = root / "data.yaml"
        self.write_yaml(train="images/train", val="images/val")
        for split, n in (("train", 4), ("val", 2)):
            for i in range(n):
                self.add(split, f"{i:03}", f"{i % 4} 0.5 0.5 0.{i + 1} 0.2\n")

    def write_yaml(self, **keys: object) -> None:
        keys = {"names": list(CLASSES)} | keys
        self.root.mkdir(parents=True, exist_ok=True)
        self.yaml.write_text("".join(f"{key}: {value!r}\n" for key, value in keys.items()))

    def image(self, split: str, stem: str) -> Path:
        return self.root / "images" / split / f"{stem}.jpg"

    def label(self, split: str, stem: str) -> Path:
        return self.root / "labels" / split / f"{stem}.txt"

    def add(self, split: str, stem: str, labels: str | None, content: bytes | None = None) -> None:
        image, label = self.image(split, stem), self.label(split, stem)
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(f"{split} {stem}".encode() if content is None else content)
        if labels is not None:
            label.write_text(labels)


@pytest.fixture
def make_folder(tmp_path):
    return lambda name="pallets": YoloFolder(tmp_path / name)


@pytest.fixture
def folder(make_folder):
    return make_folder()


@pytest.fixture
def later():
    """A clock by which all files are old, so that the stat cache trusts them."""
    import time

    return lambda: time.time_ns() + 3_600_000_000_000


def _manifests():
    """A strategy for manifests whose entries collide often in split, name and content."""
    digests = st.sampled_from([f"{i:064x}" for i in range(6)])
    paths = st.sampled_from([f"images/{a}/{b}.jpg" for a in "xy" for b in ("0", "1", "2", "é\n")])
    objects = st.dictionaries(st.integers(0, 3), st.integers(1, 9), max_size=3)

    def entry(split, path, image, label, counts, repeats):
        return ManifestEntry(
            split=split,
            path=path,
            size=int(image, 16),
            image=image,
            label="labels/x.txt" if label else "",
            label_digest=label,
            objects=tuple(sorted(counts.items())) if label else (),
            repeats=repeats,
        )

    entries = st.builds(
        entry,
        st.sampled_from(["test", "train", "val"]),
        paths,
        digests,
        st.just("") | digests,
        objects,
        st.integers(1, 2),
    )
    headers = st.builds(
        ManifestHeader,
        task=st.sampled_from(["detect", "segment"]),
        classes=st.permutations(CLASSES).map(tuple) | st.just(CLASSES),
        splits=st.just(("train", "val", "test")),
    )
    return st.builds(
        Manifest, headers, st.lists(entries, max_size=12, unique_by=lambda e: (e.split, e.path))
    )


@pytest.fixture(scope="session")
def manifests():
    return _manifests()
