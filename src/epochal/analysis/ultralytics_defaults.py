"""The values that Ultralytics fills in for training arguments that nobody gave.

Releases add arguments, and a user's own dictionary holds only a few of them: against a full
``args.yaml`` every default would look like a change. Values are those of 8.4; an argument whose
default has moved between releases simply counts as a change, which it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ULTRALYTICS_DEFAULTS", "is_ultralytics"]

ULTRALYTICS_DEFAULTS: dict[str, Any] = {
    # length and batches
    "epochs": 100,
    "time": None,
    "patience": 100,
    "batch": 16,
    "imgsz": 640,
    "fraction": 1.0,
    "nbs": 64,
    "rect": False,
    "multi_scale": 0.0,
    # optimisation
    "optimizer": "auto",
    "lr0": 0.01,
    "lrf": 0.01,
    "momentum": 0.937,
    "weight_decay": 0.0005,
    "warmup_epochs": 3.0,
    "warmup_momentum": 0.8,
    "warmup_bias_lr": 0.1,
    "cos_lr": False,
    "amp": True,
    "deterministic": True,
    "pretrained": True,
    "freeze": None,
    "dropout": 0.0,
    "compile": False,
    "channels_last": None,
    "cls_remap": True,
    "distill_model": None,
    "dis": 6.0,
    # losses
    "box": 7.5,
    "cls": 0.5,
    "cls_pw": 0.0,
    "dfl": 1.5,
    "pose": 12.0,
    "kobj": 1.0,
    "rle": 1.0,
    "angle": 1.0,
    "dlog": 1.0,
    "dgrad": 0.5,
    "dlam": 1.0,
    "overlap_mask": True,
    "mask_ratio": 4,
    "single_cls": False,
    "classes": None,
    # augmentation
    "hsv_h": 0.015,
    "hsv_s": 0.7,
    "hsv_v": 0.4,
    "degrees": 0.0,
    "translate": 0.1,
    "scale": 0.5,
    "shear": 0.0,
    "perspective": 0.0,
    "flipud": 0.0,
    "fliplr": 0.5,
    "bgr": 0.0,
    "mosaic": 1.0,
    "close_mosaic": 10,
    "mixup": 0.0,
    "cutmix": 0.0,
    "copy_paste": 0.0,
    "copy_paste_mode": "flip",
    "auto_augment": "randaugment",
    "erasing": 0.4,
    "augment": False,
    # validation
    "val": True,
    "split": "val",
    "conf": None,
    "iou": 0.7,
    "max_det": 300,
    "half": False,
    "quantize": None,
    "int8": False,
    "dnn": False,
    "nms": None,
    "agnostic_nms": False,
    "retina_masks": False,
    "end2end": None,
    "cfg": None,
    "task": "detect",
    "mode": "train",
    # settings of predict, track and export that travel along
    "source": None,
    "tracker": "tracktrack.yaml",
    "vid_stride": 1,
    "stream_buffer": False,
    "embed": None,
    "format": "torchscript",
    "keras": False,
    "optimize": False,
    "dynamic": False,
    "simplify": True,
    "opset": None,
    "workspace": None,
}


def is_ultralytics(config: Mapping[str, Any]) -> bool:
    """Whether a flat configuration is a full set of Ultralytics arguments."""
    return {"close_mosaic", "warmup_bias_lr", "copy_paste"} <= config.keys()
