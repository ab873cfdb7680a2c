"""Ultralytics' files and its Platform protocol.

`import_folder` takes in what a training left in its folder; `wire` answers an unmodified
Ultralytics that reports to ULTRALYTICS_PLATFORM_URL. `layout`, `marker`, `results_table` and
`checkpoint` know how such a folder looks; the integration uses them too.
"""

from epochal.interop.ultralytics.folder_import import import_folder
from epochal.interop.ultralytics.results_export import export_results

__all__ = ["export_results", "import_folder"]
