"""Measure, print one table, write it down.

python -m benchmarks [--only NAME ...] [--peers] [--json] [--no-file]
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import client, datasets, domain, interop, storage, tables
from benchmarks.measuring import Figure, Measurements, machine

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"

BENCHMARKS: dict[str, Callable[[Path], Measurements]] = {
    "log": client.log_calls,
    "ingest": storage.ingest,
    "curves": storage.curves,
    "table": tables.run_table,
    "evaluation": domain.evaluation,
    "dataset": domain.dataset_scan,
    "dvc": datasets.versions,
    "mlflow-wire": interop.mlflow_wire,
}
BESIDE_PEERS: dict[str, Callable[[Path, Path | None], Measurements]] = {
    "first-log": client.first_log,
    "tensorboard": interop.event_files,
}
PEERS = ("wandb", "mlflow", "aim", "tensorboard")


def peers_environment(folder: Path) -> Path | None:
    """Return an environment with other trackers in it, made where it is missing."""
    python = folder / "bin" / "python"
    if python.exists():
        return folder
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for name in PEERS:  # one by one: not each installs everywhere
            done = subprocess.run(
                [str(python), "-m", "pip", "install", "--quiet", name], check=False
            )
            if done.returncode:
                print(f"{name} could not be installed; it is left out", file=sys.stderr)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"no peers to compare with: {error}", file=sys.stderr)
        return None
    return folder


def rows(figures: list[Figure]) -> list[tuple[str, str, str, str]]:
    """Return the table's cells."""
    return [
        (
            figure.what + (f" ({figure.detail})" if figure.detail else ""),
            f"{_number(figure.value)} {figure.unit}",
            ""
            if figure.budget is None
            else f"{'<=' if figure.better == 'low' else '>='} {_number(figure.budget)}",
            figure.verdict,
        )
        for figure in figures
    ]


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


HEAD = ("what", "measured", "budget", "verdict")


def as_text(figures: list[Figure]) -> str:
    """Return the table for a terminal."""
    table = [HEAD, *rows(figures)]
    widths = [max(len(row[n]) for row in table) for n in range(4)]
    return "\n".join(
        f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in table
    )


def as_markdown(figures: list[Figure], about: dict[str, str]) -> str:
    """Return the page that is kept in the repository."""
    day = datetime.datetime.now(datetime.UTC).date()
    lines = [
        "# Benchmarks",
        "",
        f"Written by `python -m benchmarks` on {day}. What one thread computes is timed by the",
        "processor time it took, which is what an idle core would take; calls, starts, ingest and",
        "scans by the clock, on a machine that may have other work (its load is given).",
        "",
        "| on | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in about.items() if value),
        "",
        f"| {' | '.join(HEAD)} |",
        "| --- | ---: | ---: | --- |",
        *(f"| {' | '.join(row)} |" for row in rows(figures)),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the benchmarks; exit with 1 where a budget is missed or one cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*BESIDE_PEERS, *BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="FOLDER",
        help="an environment with other trackers to measure beside; made there if missing",
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-file", action="store_true", help="do not write RESULTS.md")
    options = parser.parse_args()

    about = machine()
    peers = peers_environment(options.peers.absolute()) if options.peers else None
    figures: list[Figure] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="epochal-bench-") as place:
        for name in options.only:
            if not options.json:
                print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                if name in BESIDE_PEERS:
                    figures += BESIDE_PEERS[name](Path(place), peers)
                else:
                    figures += BENCHMARKS[name](Path(place))
            except Exception as error:  # noqa: BLE001 - the others are still worth measuring
                failed.append(name)
                print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
    if options.json:
        listed = [{**msgspec.to_builtins(f), "verdict": f.verdict} for f in figures]
        print(msgspec.json.encode({"machine": about, "figures": listed}).decode())
    else:
        print(as_text(figures))
    if not options.no_file and options.only == names and not failed:
        RESULTS.write_text(as_markdown(figures, about))
    return int(bool(failed) or any(figure.verdict == "MISSED" for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
