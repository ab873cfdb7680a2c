"""A workspace from Python: ``epochal.open()``.

    ws = epochal.open()
    for run in ws.runs("pallets", where='metrics."mAP50-95" > 0.5', sort="created"):
        print(run.name, run.summary)
    ws.run("v3_pallets_added").series("train/box_loss").value

Everything here is what the command line and the pages show too. Runs are named by name,
``project/name``, id, or the beginning of an id.
"""

from epochal.workspace.opening import open_workspace
from epochal.workspace.run_view import RunView
from epochal.workspace.runs import Runs
from epochal.workspace.series import Series
from epochal.workspace.workspace import Workspace

__all__ = ["RunView", "Runs", "Series", "Workspace", "open_workspace"]
