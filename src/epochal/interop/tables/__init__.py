"""Plain tables: a run's points as CSV or Parquet, for whatever reads those; CSV in."""

from epochal.interop.tables.points import export_csv, export_parquet
from epochal.interop.tables.reader import import_csv

__all__ = ["export_csv", "export_parquet", "import_csv"]
