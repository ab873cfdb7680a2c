"""Plain tables: a run's points as CSV or Parquet, for whatever reads those."""

from epochal.interop.tables.points import export_csv, export_parquet

__all__ = ["export_csv", "export_parquet"]
