"""Bytes and texts of a run: artifacts, logged images, the code diff.

A request names a run and a key or digest within it; what is opened is named by the run's own
records. Bytes leave as something to save, in a sandbox, under a type of ours, never under one
that a user chose.
"""

from __future__ import annotations

from urllib.parse import quote

from epochal.errors import NotFound
from epochal.records import Artifact, ImageLogged
from epochal.server.answering import Payload
from epochal.server.context import Context
from epochal.server.schema.run import ArtifactPreview, CodeDiff
from epochal.server.security import SANDBOX_POLICY
from epochal.store.blobs import digest_of_file
from epochal.store.documents import RunDocument

__all__ = [
    "artifact",
    "artifact_picture",
    "artifact_preview",
    "code_diff",
    "image_payload",
    "media_image",
]

_PREVIEW = 256 << 10
_DIFF = 1 << 20
_MAX_PICTURE = 32 << 20
_HELD = 32 << 20
"""Bytes up to which a file is read at once; a larger one is sent piece by piece."""


def image_type(data: bytes) -> str | None:
    """Return the media type of a PNG, JPEG, GIF or WebP file by its first bytes, else None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def image_payload(data: bytes, what: str) -> Payload:
    """Return an image to be shown; it is not decoded here.

    Raises
    ------
    NotFound
        If `data` is none of the four kinds that a browser shows and that hold no code.
    """
    kind = image_type(data)
    if kind is None or len(data) > _MAX_PICTURE:
        raise NotFound(f"{what} is no PNG, JPEG, GIF or WebP image", "it can be saved as a file")
    return Payload(
        data,
        kind,
        {
            "content-security-policy": SANDBOX_POLICY,
            "content-disposition": "inline",
            # Named by content or verified against it: the same address never shows another one.
            "cache-control": "private, max-age=86400, immutable",
        },
        small=True,
    )


def _artifact(document: RunDocument, key: str) -> Artifact:
    found = document.artifacts.get(key)
    if found is None or not isinstance(found.body, Artifact):
        raise NotFound(f"run {document.name} has no artifact {key[:200]!r}")
    return found.body


def artifact(context: Context, run: str, key: str) -> Payload:
    """Return a file of the run to be saved."""
    body = _artifact(context.run(run), key)
    name = key.rpartition("/")[2]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    headers = {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''"
        + quote(name, safe="", errors="replace"),
        "content-security-policy": SANDBOX_POLICY,
    }
    blobs = context.store.blobs
    kind = "application/octet-stream"
    if body.size <= _HELD:
        return Payload(blobs.get(body.digest), kind, headers, small=True)
    path = blobs.path(body.digest)
    if not path.is_file() or digest_of_file(path) != body.digest:
        blobs.get(body.digest)  # says which of the two it is
    return Payload(b"", kind, headers, small=True, file=path)


def artifact_picture(context: Context, run: str, key: str) -> Payload:
    """Return a file of the run that is an image, to be shown."""
    body = _artifact(context.run(run), key)
    return image_payload(context.store.blobs.get(body.digest), key[:200])


def artifact_preview(context: Context, run: str, key: str) -> ArtifactPreview:
    """Return what can be shown of a file: its text, or that it is an image."""
    body = _artifact(context.run(run), key)
    data = context.store.blobs.get(body.digest)
    kind = image_type(data)
    text = "" if kind else _text(data[:_PREVIEW])
    return ArtifactPreview(
        key=key,
        digest=body.digest,
        size=len(data),
        kind="image" if kind else "text" if text or not data else "binary",
        media_type=kind or ("text/plain" if text or not data else "application/octet-stream"),
        text=text,
        truncated=bool(text) and len(data) > _PREVIEW,
    )


def _text(data: bytes) -> str:
    """Return `data` as text; empty where it is none."""
    if b"\0" in data:
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the end of the portion cuts is no reason to call it binary.
        return data[: error.start].decode("utf-8") if len(data) - error.start < 4 else ""


def media_image(context: Context, run: str, digest: str) -> Payload:
    """Return a logged image."""
    document = context.run(run)
    for stamped in document.images:
        if isinstance(stamped.body, ImageLogged) and stamped.body.digest == digest:
            return image_payload(context.store.blobs.get(digest), stamped.body.key[:200])
    raise NotFound(f"run {document.name} logged no such image")


def code_diff(context: Context, run: str) -> CodeDiff:
    """Return commit and uncommitted changes of the code that ran."""
    document = context.run(run)
    git = document.environment.get("git")
    known = git if isinstance(git, dict) else {}
    diff, truncated = "", False
    for stamped in document.artifacts.values():
        if isinstance(stamped.body, Artifact) and stamped.body.role == "diff":
            data = context.store.blobs.get(stamped.body.digest)
            diff, truncated = data[:_DIFF].decode("utf-8", "replace"), len(data) > _DIFF
            break
    return CodeDiff(
        commit=str(known.get("commit") or ""),
        branch=str(known.get("branch") or ""),
        remote=str(known.get("remote") or ""),
        dirty=bool(known.get("dirty")),
        diff=diff,
        truncated=truncated,
    )
