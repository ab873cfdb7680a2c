"""Record a YOLO training from a script: one line more.

python examples/yolo_attach.py DATA.yaml [EPOCHS]
"""

import sys

from ultralytics import YOLO

from epochal.integrations.ultralytics import attach

model = YOLO("yolov8n.yaml")
attach(
    model,
    name="v1_baseline",
    hypothesis="twelve epochs are enough to see whether the labels make sense",
    tags=["example"],
)
model.train(data=sys.argv[1], epochs=int(sys.argv[2]) if len(sys.argv) > 2 else 12, imgsz=160)

# The weights' digest leads an evaluation back to the run, whichever script makes it.
model.val(split="val")
