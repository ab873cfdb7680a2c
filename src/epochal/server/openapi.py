"""The OpenAPI document, made from the table of operations and the structs it names.

``python -m epochal.server.openapi`` writes it beside this module; a test compares.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from epochal.server.operations import OPERATIONS, PREFIX, Operation
from epochal.server.schema.common import Problem
from epochal.server.schema.workspace import ChangeEvent

__all__ = ["PATH", "document", "rendered"]

PATH = Path(__file__).with_name("openapi.json")
"""Where the committed document lies."""

_REFERENCE = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    types: list[Any] = [Problem, ChangeEvent]
    for operation in OPERATIONS:
        types += [t for t in (operation.query, operation.body, operation.returns) if _named(t)]
    types = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = PREFIX + re.sub(r"\{(\w+):path\}", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(
            operation, by_type, components
        )
    for query in {o.query for o in OPERATIONS if o.query is not None}:
        components.pop(query.__name__, None)  # they stand as parameters
    for schema in components.values():
        for name, described in schema.get("properties", {}).items():
            if name not in schema.get("required", ()):
                # Generators read "has a default" as "is always there"; it may be left out.
                described.pop("default", None)
            _open_objects(described)
    return {
        "openapi": "3.1.0",
        # The version is that of the contract, not of the program: it must not change the file.
        "info": {"title": "Epochal", "version": "1"},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def rendered() -> bytes:
    """Return the document as the bytes of the committed file."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=1) + b"\n"


def _named(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _open_objects(schema: Any) -> None:
    """Say of every object without named fields that it has any: generators else read none."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" not in schema:
            schema.setdefault("additionalProperties", {})
        for part in schema.values():
            _open_objects(part)
    elif isinstance(schema, list):
        for part in schema:
            _open_objects(part)


def _operation(
    operation: Operation, schemas: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)(?::path)?\}", operation.path)
    ]
    if operation.query is not None:
        fields = components[operation.query.__name__]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in fields.get("required", []),
                "schema": schema,
            }
            for name, schema in fields["properties"].items()
        ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[operation.body]}},
        }
    if isinstance(operation.returns, str):
        text = operation.returns.startswith("text/")
        schema = {"type": "string"} if text else {"type": "string", "format": "binary"}
        content = {operation.returns: {"schema": schema}}
    else:
        content = {"application/json": {"schema": schemas[operation.returns]}}
    described["responses"] = {
        "200": {"description": operation.summary, "content": content},
        "default": {
            "description": "Why the request was not answered",
            "content": {"application/problem+json": {"schema": schemas[Problem]}},
        },
    }
    return described


if __name__ == "__main__":
    PATH.write_bytes(rendered())
