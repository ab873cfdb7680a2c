"""TensorBoard: event files in and out.

`messages` are the protocol buffers that event files hold, `event_files` the frames around them,
`reader` takes a log directory in, `writer` gives a run out.
"""

from epochal.interop.tensorboard.reader import Logdir, import_logdir
from epochal.interop.tensorboard.writer import export_run

__all__ = ["Logdir", "export_run", "import_logdir"]
