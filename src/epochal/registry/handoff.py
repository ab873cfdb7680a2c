"""The hand-off bundle: the folder that a winner ships as, verified where it arrives.

DEST/
  MODEL_CARD.md      for people
  bundle.json        what is in here and on which decision it rests
  weights/           the weights that were decided on
  config.json        parameters, as requested and as they took effect
  dataset.json       the version it was trained on; dataset.manifest.zst: file by file
  evaluations/       every evaluation of these weights
  decision.json, decision.md
  lesson.md
  SHA256SUMS         of every other file: `sha256sum -c SHA256SUMS` needs nothing of ours
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from epochal.decisions.decision import Decision
from epochal.decisions.evidence import final_weights
from epochal.decisions.explain import to_markdown
from epochal.errors import EpochalError, InvalidInput, NotFound, Refused
from epochal.evaluation.document import Evaluation
from epochal.evaluation.storage import load_evaluation
from epochal.journal.author import author
from epochal.records import Artifact, Evaluated, Latency
from epochal.registry.model_card import model_card
from epochal.registry.promote import shipping_decision
from epochal.store.blobs import digest_of, digest_of_file
from epochal.store.documents import RunDocument
from epochal.store.store import Store
from epochal.version import __version__

__all__ = ["Arrival", "Bundle", "hand_off", "verify_bundle"]

_SUMS = "SHA256SUMS"
_FORMAT = 1


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """``bundle.json``: what a bundle is."""

    format: int
    project: str
    run: str
    name: str
    weights: str
    """Path in the bundle."""
    weights_digest: str
    """BLAKE3; the decision names it."""
    decision: str
    """BLAKE3 digest of ``decision.json``; empty: nobody decided."""
    override: str = ""
    """Why it was handed off without a ``ship``."""
    missing: tuple[str, ...] = ()
    """What a bundle usually has and this one lacks, with the reason."""
    author: str = ""
    t: int = 0
    """Microseconds since the Unix epoch, UTC."""
    created_by: str = f"epochal {__version__}"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What was found where a bundle arrived."""

    folder: str
    bundle: Bundle | None
    """None: it cannot be read."""
    files: int
    problems: tuple[str, ...]
    """One line each; empty: it is what was sent."""


def hand_off(store: Store, run: RunDocument, target: Path, *, override: str = "") -> Bundle:
    """Write the bundle of `run` into the folder `target`, which appears when it is whole.

    Parameters
    ----------
    override
        Why the run goes out without a ``ship``; kept in the bundle.

    Raises
    ------
    Refused
        If the run does not ship and there is no override, or `target` exists and is not empty.
    NotFound
        If the run recorded no weights, or they are not in this workspace.
    """
    decision, overridden = shipping_decision(store, run, override)
    target = target.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target} exists and is not empty", "choose a folder that does not exist")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part-{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        bundle = _fill(store, run, decision, temporary, overridden)
        _write_sums(temporary)
        if target.exists():
            target.rmdir()
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return bundle


def _fill(
    store: Store, run: RunDocument, decision: Decision | None, folder: Path, override: str
) -> Bundle:
    missing: list[str] = []
    digest, weights = _put_weights(store, run, folder)
    evaluations = _put_evaluations(store, run, folder, digest, missing)
    latencies = [s.body for s in run.latencies if isinstance(s.body, Latency)]
    _put(folder, "config.json", _json({"requested": run.config, "effective": run.effective}))
    _put_dataset(store, run, folder, missing)
    if decision is not None:
        _put(folder, "decision.json", store.blobs.get(decision.id))
        _put(folder, "decision.md", to_markdown(decision).encode())
    else:
        missing.append("decision: nobody decided on this run")
    if run.lesson is not None:
        _put(folder, "lesson.md", _lesson(run).encode())
    else:
        missing.append("lesson: nobody wrote one")
    card = model_card(run, decision, evaluations, latencies, weights=weights, override=override)
    _put(folder, "MODEL_CARD.md", card.encode())
    bundle = Bundle(
        format=_FORMAT,
        project=run.project,
        run=run.id,
        name=run.name,
        weights=weights,
        weights_digest=digest,
        decision=decision.id if decision is not None else "",
        override=override,
        missing=tuple(missing),
        author=author(),
        t=time.time_ns() // 1000,
    )
    _put(folder, "bundle.json", _json(bundle))
    return bundle


def _put_weights(store: Store, run: RunDocument, folder: Path) -> tuple[str, str]:
    """Copy the final weights; return their digest and their path in the bundle."""
    digest = final_weights(run)
    if not digest:
        raise NotFound(
            f"run {run.name} recorded no weights",
            "record them with run.artifact(path, role='weights')",
        )
    keys = [
        s.body.key
        for s in run.artifacts.values()
        if isinstance(s.body, Artifact) and s.body.digest == digest
    ]
    name = f"weights/{_file_name(keys[0])}"
    source = store.blobs.path(digest)
    if not source.is_file():
        raise NotFound(
            f"the weights of run {run.name} are not in {store.folder.blobs}",
            "copy the workspace's blobs folder along with its runs",
        )
    (folder / "weights").mkdir()
    shutil.copyfile(source, folder / name)
    if digest_of_file(folder / name) != digest:
        raise EpochalError(
            f"the stored weights of run {run.name} are damaged", "`epochal doctor` tells more"
        )
    return digest, name


def _put_evaluations(
    store: Store, run: RunDocument, folder: Path, weights: str, missing: list[str]
) -> list[Evaluation]:
    """Write every evaluation of these weights; return the newest of each split and evaluator."""
    newest: dict[tuple[str, str], Evaluation] = {}
    for stamped in run.evaluations:
        body = stamped.body
        if not isinstance(body, Evaluated) or (body.weights and body.weights != weights):
            continue
        try:
            evaluation = load_evaluation(store.blobs, body.digest)
        except EpochalError as error:
            missing.append(f"evaluation on {body.split}: {error.message}")
            continue
        (folder / "evaluations").mkdir(exist_ok=True)
        name = f"{_file_name(body.split)}-{body.digest[:12]}.json"
        _put(folder, f"evaluations/{name}", store.blobs.get(body.digest))
        newest[body.split, body.evaluator] = evaluation
    if not newest:
        missing.append("evaluations: none of these weights")
    return list(newest.values())


def _put_dataset(store: Store, run: RunDocument, folder: Path, missing: list[str]) -> None:
    pin = run.pin
    versions = [g.body for g in store.governance("dataset") if pin and g.body.digest == pin.digest]
    facts = {"given": run.dataset, "pin": pin, "version": versions[-1] if versions else None}
    _put(folder, "dataset.json", _json(facts))
    manifest = store.folder.datasets / f"{pin.digest}.jsonl.zst" if pin and pin.digest else None
    if manifest is not None and manifest.is_file():
        shutil.copyfile(manifest, folder / "dataset.manifest.zst")
    else:
        missing.append("dataset manifest: the run is not pinned to a version that is here")


def _lesson(run: RunDocument) -> str:
    lesson = run.lesson
    assert lesson is not None
    parts = [f"# {run.name}", ""]
    for title in ("hypothesis", "change", "result", "next"):
        if text := getattr(lesson, title).strip():
            parts += [f"**{title.capitalize()}:** {text}", ""]
    return "\n".join([*parts, lesson.text.strip(), ""])


def _file_name(text: str) -> str:
    """Return the last part of a key as a file name that every system takes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text.rpartition("/")[2]).lstrip(".")
    return name[-100:] or "file"


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)


def _write_sums(folder: Path) -> None:
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    (folder / _SUMS).write_text("".join(lines))
    for path in folder.rglob("*"):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_bundle(folder: Path, progress: Callable[[int, int], None] | None = None) -> Arrival:
    """Compare a bundle with what it says of itself. Needs no workspace.

    Raises
    ------
    NotFound
        If there is no bundle in `folder`.
    """
    if not (folder / _SUMS).is_file():
        raise NotFound(f"no bundle in {folder}", f"a bundle has a file {_SUMS}")
    expected = _read_sums(folder / _SUMS)
    problems = []
    for place, (name, digest) in enumerate(sorted(expected.items()), 1):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            problems.append(f"{name} is missing")
        elif _sha256(path) != digest:
            problems.append(f"{name} is not what was sent")
        if progress:
            progress(place, len(expected))
    there = {
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_file() or p.is_symlink()
    }
    problems += [f"{name} was not sent" for name in sorted(there - expected.keys() - {_SUMS})]
    bundle = _read_bundle(folder, problems)
    return Arrival(
        folder=str(folder), bundle=bundle, files=len(expected), problems=tuple(problems)
    )


def _read_sums(path: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        digest, separator, name = line.partition("  ")
        parts = PurePosixPath(name).parts
        if not separator or not re.fullmatch(r"[0-9a-f]{64}", digest) or not parts:
            raise InvalidInput(f"{path}:{number} is no checksum", "copy the bundle again")
        if ".." in parts or name.startswith("/"):
            raise InvalidInput(f"{path}:{number} names a file outside the bundle")
        found[name] = digest
    return found


def _read_bundle(folder: Path, problems: list[str]) -> Bundle | None:
    """Read what the bundle says it is, and whether weights and decision belong together."""
    try:
        bundle = msgspec.json.decode((folder / "bundle.json").read_bytes(), type=Bundle)
    except (OSError, msgspec.DecodeError) as error:
        problems.append(f"bundle.json cannot be read: {error}")
        return None
    weights = folder / bundle.weights
    if weights.is_file() and digest_of_file(weights) != bundle.weights_digest:
        problems.append(f"{bundle.weights} are not the weights that were handed off")
    if bundle.decision:
        problems += _judge(folder, bundle)
    elif not bundle.override:
        problems.append("there is no decision, and nobody overrode that")
    return bundle


def _judge(folder: Path, bundle: Bundle) -> list[str]:
    try:
        data = (folder / "decision.json").read_bytes()
        decision = msgspec.json.decode(data, type=Decision)
    except (OSError, msgspec.DecodeError) as error:
        return [f"decision.json cannot be read: {error}"]
    problems = []
    if digest_of(data) != bundle.decision:
        problems.append("decision.json is not the decision that was taken")
    if not bundle.override and not decision.ships:
        problems.append("the decision does not let this run ship, and nobody overrode it")
    if not bundle.override and decision.candidate.weights not in ("", bundle.weights_digest):
        problems.append("the decision is on other weights")
    return problems
