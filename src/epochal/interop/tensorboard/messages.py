"""The protocol buffers of event files: only the fields that are read or written here.

Field numbers are those of TensorFlow's ``event.proto``, ``summary.proto``, ``tensor.proto`` and
TensorBoard's ``plugins/hparams/plugin_data.proto``.
"""

from __future__ import annotations

from epochal.interop.protobuf import Messages, classes_of

__all__ = ["Event", "HParams"]

_MESSAGES: Messages = {
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
        "hparams": (1, "map"),
        "group_name": (4, "string"),
        "start_time_secs": (5, "double"),
    },
    "SessionEnd": {"status": (1, "int32"), "end_time_secs": (2, "double")},
}

_classes = classes_of("epochal.tensorboard", _MESSAGES)

Event = _classes["Event"]
HParams = _classes["HParams"]
