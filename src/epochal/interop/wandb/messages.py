"""The records of a ``.wandb`` file: only the fields that are read.

Field numbers are those of ``wandb_internal.proto``; they have not changed since 2022.
"""

from __future__ import annotations

from epochal.interop.protobuf import Messages, classes_of

__all__ = ["Record"]

_MESSAGES: Messages = {
    "Record": {
        "history": (2, "History"),
        "summary": (3, "Items"),
        "output": (4, "Output"),
        "config": (5, "Items"),
        "files": (6, "Files"),
        "stats": (7, "Stats"),
        "artifact": (8, "Artifact"),
        "alert": (10, "Alert"),
        "output_raw": (13, "Output"),
        "run": (17, "Run"),
        "exit": (18, "Exit"),
        "header": (21, "Header"),
        "environment": (26, "Environment"),
    },
    "Item": {
        "key": (1, "string"),
        "nested_key": (2, "*string"),
        "value_json": (16, "string"),
    },
    "Items": {"update": (1, "*Item"), "remove": (2, "*Item")},
    "History": {"item": (1, "*Item"), "step": (2, "Step")},
    "Step": {"num": (1, "int64")},
    "Time": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Stats": {"timestamp": (2, "Time"), "item": (3, "*Item")},
    "Output": {"output_type": (1, "int32"), "timestamp": (2, "Time"), "line": (3, "string")},
    "Files": {"files": (1, "*File")},
    "File": {"path": (1, "string"), "type": (3, "int32")},
    "Exit": {"exit_code": (1, "int32"), "runtime": (2, "int32")},
    "Alert": {"title": (1, "string"), "text": (2, "string"), "level": (3, "string")},
    "Git": {"remote_url": (1, "string"), "commit": (2, "string")},
    "Run": {
        "run_id": (1, "string"),
        "entity": (2, "string"),
        "project": (3, "string"),
        "config": (4, "Items"),
        "summary": (5, "Items"),
        "run_group": (6, "string"),
        "job_type": (7, "string"),
        "display_name": (8, "string"),
        "notes": (9, "string"),
        "tags": (10, "*string"),
        "host": (13, "string"),
        "start_time": (17, "Time"),
        "git": (21, "Git"),
    },
    "Version": {"producer": (1, "string")},
    "Header": {"version_info": (1, "Version")},
    "Environment": {
        "os": (1, "string"),
        "python": (2, "string"),
        "args": (5, "*string"),
        "program": (6, "string"),
        "git": (9, "Git"),
        "host": (12, "string"),
        "executable": (14, "string"),
        "gpu_type": (18, "string"),
        "gpu_count": (19, "int32"),
    },
    "Artifact": {
        "type": (4, "string"),
        "name": (5, "string"),
        "manifest": (12, "Manifest"),
    },
    "Manifest": {"contents": (4, "*Content")},
    "Content": {
        "path": (1, "string"),
        "digest": (2, "string"),
        "ref": (3, "string"),
        "size": (4, "int64"),
        "local_path": (6, "string"),
    },
}

Record = classes_of("epochal.wandb", _MESSAGES)["Record"]
