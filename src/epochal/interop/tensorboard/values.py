"""What an event says, as records: scalars, text, images, hyper-parameters, tables."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from epochal.errors import InvalidInput
from epochal.interop.tensorboard.messages import HParams
from epochal.records import (
    AnyBody,
    Artifact,
    Config,
    Finished,
    ImageLogged,
    Metrics,
    Number,
    Summary,
    to_wire,
)
from epochal.store.blobs import Blobs, artifact_key

__all__ = ["Translator"]

# tensorflow/core/framework/types.proto
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
_FIELDS = {1: "float_val", 2: "double_val", 3: "int_val", 9: "int64_val", 10: "bool_val"}
_STRING = 7
_IMAGE_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_MOST_TEXT = 8_000
_MOST_VALUES = 10_000_000


class Translator:
    """Turns the events of one file into records, in order and always in the same way.

    Parameters
    ----------
    blobs
        Where images and tables go.
    sub
        Name of the curve within its tag, for files of ``add_scalars``.

    Attributes
    ----------
    left_out
        Kinds of content that no record can carry.
    ended
        How the session ended, if the file says so.
    """

    def __init__(self, blobs: Blobs, sub: str = "") -> None:
        self._blobs = blobs
        self._sub = sub
        self._plugins: dict[str, str] = {}
        self.left_out: set[str] = set()
        self.ended: Finished | None = None

    def bodies(self, event: Any) -> Iterator[AnyBody]:
        """Yield the records that `event` amounts to."""
        scalars: dict[str, Number] = {}
        for value in event.summary.value:
            plugin = value.metadata.plugin_data.plugin_name
            if plugin:
                self._plugins[value.tag] = plugin  # later values of the tag leave it out
            plugin = self._plugins.get(value.tag, "")
            if plugin == "hparams":
                yield from self._hparams(value.metadata.plugin_data.content)
            elif value.HasField("simple_value"):
                scalars[self._key(value.tag)] = to_wire(float(value.simple_value))
            elif value.HasField("image"):
                yield from self._images(value.tag, [value.image.encoded_image_string], event.step)
            elif value.HasField("histo"):
                yield from self._table("histograms", value.tag, _histogram(value.histo), event)
            elif value.HasField("tensor"):
                scalar = yield from self._tensor(plugin, value, event)
                if scalar is not None:
                    scalars[self._key(value.tag)] = scalar
        if scalars:
            yield Metrics(values=scalars, step=event.step)

    def _key(self, tag: str) -> str:
        return f"{tag}/{self._sub}" if self._sub else tag

    def _tensor(
        self, plugin: str, value: Any, event: Any
    ) -> Generator[AnyBody, None, Number | None]:
        """Yield the records of a tensor, and return its value if it is a scalar."""
        tensor = value.tensor
        if tensor.dtype == _STRING:
            texts = list(tensor.string_val)
            if plugin == "images":
                # The first two are width and height.
                yield from self._images(value.tag, texts[2:], event.step)
            else:
                text = "\n".join(t.decode("utf-8", "replace") for t in texts)
                tag = value.tag.removesuffix("/text_summary")
                yield Summary(values={tag: text[:_MOST_TEXT]})
            return None
        array = _array(tensor)
        if array is None:
            self.left_out.add(f"tensors of type {tensor.dtype}")
        elif array.size == 1:
            return to_wire(float(array.reshape(-1)[0]))
        elif plugin == "histograms" and array.ndim == 2 and array.shape[1] == 3:
            columns = {name: array[:, i].tolist() for i, name in enumerate(("from", "to", "n"))}
            yield from self._table("histograms", value.tag, columns, event)
        elif plugin == "pr_curves" and array.ndim == 2 and len(array) == 6:
            names = ("tp", "fp", "tn", "fn", "precision", "recall")
            rows = {name: array[i].tolist() for i, name in enumerate(names)}
            yield from self._table("pr_curves", value.tag, rows, event)
        else:
            self.left_out.add(f"{plugin or 'plain'} tensors")
        return None

    def _images(self, tag: str, images: list[bytes], step: int) -> Iterator[AnyBody]:
        for index, data in enumerate(images):
            if not data.startswith(_IMAGE_SIGNATURES):
                self.left_out.add("images that are no PNG, JPEG, GIF or WebP")
                continue
            key = tag if len(images) == 1 else f"{tag}/{index}"
            yield ImageLogged(key=key, digest=self._blobs.put(data), step=step)

    def _table(
        self, kind: str, tag: str, columns: dict[str, list[float]], event: Any
    ) -> Iterator[AnyBody]:
        """Yield a table as an artifact: one key a tag, so that the latest is the one shown."""
        try:
            key = artifact_key(f"{kind}/{tag}.json")
        except InvalidInput:
            self.left_out.add(f"{kind} whose tag cannot be a file's name")
            return
        data = json.dumps({"tag": tag, "step": event.step, **columns}).encode()
        yield Artifact(
            key=key, digest=self._blobs.put(data), size=len(data), role=kind, step=event.step
        )

    def _hparams(self, content: bytes) -> Iterator[AnyBody]:
        try:
            found = HParams.FromString(content)
        except DecodeError:
            self.left_out.add("hyper-parameters that cannot be decoded")
            return
        values = {
            key: getattr(value, value.WhichOneof("kind") or "string_value")
            for key, value in sorted(found.session_start_info.hparams.items())
            if value.WhichOneof("kind") in ("number_value", "string_value", "bool_value")
        }
        if values:
            yield Config(values=values)
        if found.HasField("session_end_info"):
            failed = found.session_end_info.status == 2
            self.ended = Finished(status="failed" if failed else "finished")


def _histogram(histogram: Any) -> dict[str, list[float]]:
    limits, counts = list(histogram.bucket_limit), list(histogram.bucket)
    return {"from": [histogram.min, *limits[:-1]], "to": limits, "n": counts}


def _array(tensor: Any) -> Any:
    """Return the tensor as an array; None where its type is not one of numbers."""
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        return None
    shape = tuple(d.size for d in tensor.tensor_shape.dim)
    if tensor.tensor_content:
        whole = len(tensor.tensor_content) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize
        flat = np.frombuffer(tensor.tensor_content[:whole], dtype)
    else:
        flat = np.array(getattr(tensor, _FIELDS.get(tensor.dtype, "float_val")))
    size = int(np.prod(shape)) if shape else 1
    if len(flat) == 1 < size <= _MOST_VALUES:
        flat = np.repeat(flat, size)  # one value stands for all
    return flat.reshape(shape) if flat.size == size else flat
