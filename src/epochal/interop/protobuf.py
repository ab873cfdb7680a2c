"""Messages of foreign formats, declared as data and built without generated code.

Each format has a pool of its own, so that the foreign library's own classes may be loaded in the
same process. Only the fields that are read or written are declared; others are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

__all__ = ["Messages", "classes_of"]

Messages: TypeAlias = Mapping[str, Mapping[str, tuple[int, str]]]
"""Message -> field -> (number, type).

A type is a scalar's name or a message's; ``*`` before it means repeated, ``?`` that presence
matters (0 was said, or nothing was), ``map`` a map from strings to `google.protobuf.Value`.
"""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
}
_VALUE = ".google.protobuf.Value"


def classes_of(package: str, messages: Messages) -> dict[str, Any]:
    """Return a message class for each of `messages`, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name],
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if kind == "map":
                _add_map(message, package, field, number)
            else:
                _add_field(message, package, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


def _add_field(
    message: descriptor_pb2.DescriptorProto, package: str, name: str, number: int, kind: str
) -> None:
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
    plain = kind.lstrip("*?")
    if plain in _SCALARS:
        field.type = _SCALARS[plain]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{plain}"
    if kind.startswith("?"):
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _add_map(
    message: descriptor_pb2.DescriptorProto, package: str, name: str, number: int
) -> None:
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    _add_field(entry, package, "key", 1, "string")
    optional = _Field.LABEL_OPTIONAL
    entry.field.add(
        name="value", number=2, label=optional, type=_Field.TYPE_MESSAGE, type_name=_VALUE
    )
    message.field.add(
        name=name,
        number=number,
        label=_Field.LABEL_REPEATED,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{package}.{message.name}.{entry.name}",
    )
