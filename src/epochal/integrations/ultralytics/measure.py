"""The child of ``epochal evaluate``: measures weights on a split, with the integration armed.

    python -m epochal.integrations.ultralytics.measure REQUEST FD

REQUEST is a `Request` in JSON. FD is a pipe to which "done total" is written after each batch.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Literal

import msgspec

from epochal.integrations.ultralytics import arm
from epochal.integrations.ultralytics.options import Options

__all__ = ["Request"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and what the look at test images is for."""

    weights: str
    data: str
    split: str
    settings: dict[str, Any] = {}
    """Further arguments of ``model.val()``."""
    workspace: str
    output: str
    """Folder for what Ultralytics writes."""
    purpose: Literal["gate", "explore", "monitor"] = "explore"
    revealed: Literal["nothing", "number"] = "number"


def main(request: Request, pipe: int) -> None:
    """Measure."""
    from ultralytics import YOLO

    def advance(validator: Any) -> None:
        done, total = validator.batch_i + 1, len(validator.dataloader)
        os.write(pipe, f"{done} {total}\n".encode())

    model = YOLO(request.weights)
    init = {"workspace": request.workspace}
    arm(model, Options(init=init, purpose=request.purpose, revealed=request.revealed))
    model.add_callback("on_val_batch_end", advance)
    model.val(
        data=request.data,
        split=request.split,
        project=request.output,
        name="val",
        plots=False,
        **request.settings,
    )


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Request), int(sys.argv[2]))
