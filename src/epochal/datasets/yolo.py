"""What a YOLO data.yaml means: its classes, its splits and the images in them.

Paths resolve as in Ultralytics 8.4 (``check_det_dataset`` and ``BaseDataset.get_img_files``), so
that what is versioned is what is trained on:

- ``path``, the root: absolute, else relative to the working directory, else relative to the
  datasets folder of Ultralytics' settings; absent, it is the folder of the data.yaml;
- a split is a folder (searched recursively, hidden names skipped), a text file of image paths
  (``./`` means relative to that file, anything else relative to the working directory), or a
  list of those;
- labels: the last ``/images/`` of an image's path becomes ``/labels/``, its suffix ``.txt``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import yaml

from epochal.datasets.labels import LabelRules
from epochal.errors import InvalidInput

__all__ = ["IMAGE_SUFFIXES", "SPLITS", "DataYaml", "Source", "label_file", "read_data_yaml"]

SPLITS = ("train", "val", "test", "minival")
"""The splits a data.yaml can name, in the order in which they are shown."""

IMAGE_SUFFIXES = frozenset(
    "avif bmp dng heic heif jp2 jpeg jpg mpo pfm png tif tiff webp".split()  # noqa: SIM905
)
"""Suffixes of image files, lower case, without the dot (Ultralytics 8.3 and 8.4)."""

_MAX_BYTES = 8 << 20
_MAX_DEPTH = 50
_MAX_CLASSES = 100_000

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One folder or list that a split names."""

    split: str
    name: str
    """Absolute, as written: symbolic links are kept, so that it is the same on every machine."""
    file: str
    """Absolute, resolved: what the trainer opens and derives label paths from."""
    is_folder: bool


class DataYaml(msgspec.Struct, frozen=True, kw_only=True):
    """A data.yaml with its paths resolved."""

    file: str
    root: str
    """Absolute, as written."""
    classes: tuple[str, ...]
    sources: tuple[Source, ...]
    keypoints: tuple[int, int] | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are named, in the order of `SPLITS`."""
        named = {source.split for source in self.sources}
        return tuple(split for split in SPLITS if split in named)

    @property
    def rules(self) -> LabelRules:
        """What labels have to obey."""
        return LabelRules(len(self.classes), self.keypoints)


def label_file(image: str) -> str:
    """Return the path of the label file that belongs to an image."""
    before, found, after = image.rpartition("/images/")
    label = f"{before}/labels/{after}" if found else image
    stem, dot, _ = label.rpartition(".")
    return f"{stem if dot else label}.txt"


def read_data_yaml(file: str | os.PathLike[str]) -> DataYaml:
    """Read a data.yaml and resolve its paths.

    Raises
    ------
    InvalidInput
        The file is missing, unreadable or not a data.yaml; a split's folder or list is missing.
    """
    path = Path(file)
    data = _load(path)
    return DataYaml(
        file=str(path.absolute()),
        root=(root := _root(path, data)),
        classes=_classes(path, data),
        sources=tuple(_sources(path, data, root)),
        keypoints=_keypoints(path, data),
    )


def _load(path: Path) -> dict[str, Any]:
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise InvalidInput(
            f"{path}: not a data.yaml", "Name the .yaml file of an unpacked YOLO dataset"
        )
    try:
        with path.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise InvalidInput(f"{path}: does not exist", "Check the path of the data.yaml") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidInput(
            f"{path}: cannot be read ({reason})", "Check its permissions"
        ) from error
    remedy = "A data.yaml has the keys train, val and names"
    if len(content) > _MAX_BYTES:
        raise InvalidInput(f"{path}: too large for a data.yaml", remedy)
    text = content.decode("utf-8", errors="ignore")
    try:
        # The C loader builds nested values by recursion and overflows its stack on hostile input.
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise InvalidInput(f"{path}: nested too deeply for a data.yaml", remedy)
        data = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        what = " ".join(str(error.problem or error.context or "cannot be parsed").split())
        raise InvalidInput(
            f"{path}{line}: not valid YAML ({what})", "Correct that line"
        ) from error
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        if isinstance(error, InvalidInput):
            raise
        what = " ".join(str(error).split())[:120]
        raise InvalidInput(f"{path}: not valid YAML ({what})", remedy) from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: not a data.yaml (no keys)", remedy)
    if "val" not in data and "validation" in data:
        data["val"] = data["validation"]
    for key in ("train", "val"):
        if not data.get(key):
            raise InvalidInput(f"{path}: the key {key!r} is missing", f"Add {key}: <folder>")
    return data


def _classes(path: Path, data: dict[str, Any]) -> tuple[str, ...]:
    names, count = data.get("names"), data.get("nc")
    remedy = "Write names as a list, or as 0: first, 1: second, ..."
    if names is None:
        try:
            number = int(count) if float(count) == int(count) else 0  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            number = 0
        if not 0 < number <= _MAX_CLASSES:
            what = (
                "neither names nor nc"
                if count is None
                else f"nc is not a class count: {count!r:.40}"
            )
            raise InvalidInput(f"{path}: {what}", remedy)
        return tuple(f"class_{i}" for i in range(number))
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InvalidInput(f"{path}: names is not a list of class names", remedy)
    if any(not isinstance(name, str | int | float | None) for name in names.values()):
        raise InvalidInput(f"{path}: a class name is not plain text", remedy)
    try:
        by_index = {int(index): str(name) for index, name in names.items()}
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{path}: a key of names is not a number", remedy) from None
    if sorted(by_index) != list(range(len(names))):
        raise InvalidInput(f"{path}: the keys of names are not 0 to {len(names) - 1}", remedy)
    if count is not None and str(count) not in {str(len(names)), f"{len(names)}.0"}:
        found = f"{len(names)} names but nc: {count!r:.40}"
        raise InvalidInput(f"{path}: {found}", "Remove nc, or correct it")
    return tuple(by_index[i] for i in range(len(names)))


def _keypoints(path: Path, data: dict[str, Any]) -> tuple[int, int] | None:
    match data.get("kpt_shape"):
        case None:
            return None
        case [int(points), int(numbers)] if 0 < points < 10_000 and numbers in (2, 3):
            return points, numbers
        case _:
            remedy = "Write [points, 2] or [points, 3]"
            raise InvalidInput(f"{path}: kpt_shape is not a shape", remedy)


def _root(path: Path, data: dict[str, Any]) -> str:
    written = data.get("path")
    if not written:
        return str(path.absolute().parent)
    if not isinstance(written, str):
        raise InvalidInput(f"{path}: path is not text", "Write the dataset's root folder")
    root = Path(written)
    if root.is_absolute() or root.exists():
        return os.path.normpath(root.absolute())
    datasets = _ultralytics_datasets_folder()
    if datasets is not None and (datasets / root).exists():
        return os.path.normpath((datasets / root).absolute())
    places = f"{Path.cwd()} or {datasets}" if datasets else str(Path.cwd())
    raise InvalidInput(
        f"{path}: path: {written} is not below {places}",
        "Write an absolute path, or leave path out where the data lies beside the data.yaml",
    )


def _ultralytics_datasets_folder() -> Path | None:
    """Return the folder that Ultralytics' settings name for datasets, where there are settings."""
    config = os.environ.get("YOLO_CONFIG_DIR") or os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    settings = Path(config).expanduser() / "Ultralytics" / "settings.json"
    try:
        folder = json.loads(settings.read_bytes())["datasets_dir"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no settings, or none that Ultralytics could read either
    return Path(folder) if isinstance(folder, str) else None


def _sources(path: Path, data: dict[str, Any], root: str) -> list[Source]:
    sources = []
    for split in SPLITS:
        value = data.get(split)
        for item in value if isinstance(value, list) else [value] if value else []:
            if not isinstance(item, str) or not item:
                remedy = "Name a folder, a .txt list, or a list of those"
                raise InvalidInput(f"{path}: {split} is not a path", remedy)
            sources.append(_source(path, split, item, root, alone=isinstance(value, str)))
    return sources


def _source(path: Path, split: str, written: str, root: str, *, alone: bool) -> Source:
    name = os.path.join(root, written)  # noqa: PTH118 - keeps what pathlib would fold
    if alone and written.startswith("../") and not Path(name).exists():
        name = os.path.join(root, written[3:])  # noqa: PTH118 - exporters write one ../ too many
    file = Path(name).resolve()
    if not file.exists():
        if any(sign in written for sign in "*?["):
            raise InvalidInput(
                f"{path}: {split}: {written} is a pattern, which Ultralytics does not expand",
                "Name the folder, or a .txt file that lists the images",
            )
        raise InvalidInput(
            f"{path}: {split}: {file} does not exist",
            "Correct path or the split, or mount the disk that the data is on",
        )
    if not file.is_dir() and not file.is_file():
        raise InvalidInput(f"{path}: {split}: {file} is neither a folder nor a file")
    return Source(
        split=split, name=os.path.normpath(name), file=str(file), is_folder=file.is_dir()
    )
