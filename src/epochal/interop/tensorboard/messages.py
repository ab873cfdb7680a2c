"""The protocol buffers of event files: only the fields that are read or written here.

Declared as data and built at import, in a pool of their own, so that TensorBoard's own classes may
be loaded in the same process. Field numbers are those of TensorFlow's ``event.proto``,
``summary.proto``, ``tensor.proto`` and TensorBoard's ``plugins/hparams/plugin_data.proto``.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

__all__ = ["Event", "HParams"]

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "epochal.tensorboard"
_TYPES = {
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
}

# message -> {field: (number, type)}; "*" in front of a type: repeated.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Event": {
        "wall_time": (1, "double"),
        "step": (2, "int64"),
        "file_version": (3, "string"),
        "summary": (5, "Summary"),
        "session_log": (7, "SessionLog"),
    },
    "SessionLog": {"status": (1, "int32")},
    "Summary": {"value": (1, "*Value")},
    "Value": {
        "tag": (1, "string"),
        "simple_value": (2, "?float"),
        "image": (4, "Image"),
        "histo": (5, "Histogram"),
        "tensor": (8, "Tensor"),
        "metadata": (9, "Metadata"),
    },
    "Metadata": {
        "plugin_data": (1, "PluginData"),
        "display_name": (2, "string"),
        "data_class": (4, "int32"),
    },
    "PluginData": {"plugin_name": (1, "string"), "content": (2, "bytes")},
    "Image": {
        "height": (1, "int32"),
        "width": (2, "int32"),
        "colorspace": (3, "int32"),
        "encoded_image_string": (4, "bytes"),
    },
    "Histogram": {
        "min": (1, "double"),
        "max": (2, "double"),
        "num": (3, "double"),
        "sum": (4, "double"),
        "bucket_limit": (6, "*double"),
        "bucket": (7, "*double"),
    },
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
    },
    "Shape": {"dim": (2, "*Dimension")},
    "Dimension": {"size": (1, "int64")},
    "HParams": {
        "version": (1, "int32"),
        "session_start_info": (3, "SessionStart"),
        "session_end_info": (4, "SessionEnd"),
    },
    "SessionStart": {
        "hparams": (1, "*SessionStart.HparamsEntry"),
        "group_name": (4, "string"),
        "start_time_secs": (5, "double"),
    },
    "SessionEnd": {"status": (1, "int32"), "end_time_secs": (2, "double")},
}


def _build() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="epochal/tensorboard.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    start = next(m for m in file.message_type if m.name == "SessionStart")
    entry = start.nested_type.add(name="HparamsEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, "string")
    entry.field.add(
        name="value",
        number=2,
        label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE,
        type_name=".google.protobuf.Value",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
    plain = kind.lstrip("*?")
    if plain in _TYPES:
        field.type = _TYPES[plain]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
    if kind.startswith("?"):  # presence matters: 0.0 was said, or nothing was
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


_pool = _build()


def _class_of(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Event = _class_of("Event")
HParams = _class_of("HParams")
