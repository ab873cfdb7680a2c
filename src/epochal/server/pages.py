"""The built page: index.html for every address of the UI, hashed assets for ever."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from epochal.server.compression import compress, encoding_for
from epochal.server.problems import problem

__all__ = ["STATIC", "Pages"]

STATIC = Path(__file__).with_name("static")
"""Where packaging puts the built page."""

_RUN = re.compile("[0-9a-f]{32}")
_FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    media_type: str
    smaller: dict[str, bytes]
    """By encoding."""


class Pages:
    """The files of the page, read once: no request names a path that is then opened.

    Parameters
    ----------
    folder
        Where index.html and ``assets/`` are; it need not be there.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._built = 0.0

    async def answer(self, request: Request) -> Response:
        """Answer with a file of the page, or with the page itself for any other address."""
        self._reload()
        path = request.path_params.get("path", "")
        found = self._files.get(path)
        if found is None:
            if path.startswith("assets/") or "." in path.rpartition("/")[2]:
                return problem(404, "not-found", "there is nothing here")
            if "/" in path:
                return RedirectResponse(_page_of(path), 302)
            path = "index.html"
            found = self._files.get(path)
        if found is None:
            return HTMLResponse(_NOT_BUILT, 200)
        encoding = encoding_for(request.headers.get("accept-encoding", ""))
        headers = {
            "vary": "accept-encoding",
            "cache-control": _FOR_EVER if path.startswith("assets/") else "no-cache",
        }
        smaller = found.smaller.get(encoding)
        if smaller is not None:
            headers["content-encoding"] = encoding
        return Response(
            found.data if smaller is None else smaller, 200, headers, media_type=found.media_type
        )

    def _reload(self) -> None:
        """Read the files; again when the page was built anew under a running server."""
        index = self._folder / "index.html"
        try:
            built = index.stat().st_mtime
        except OSError:
            built = 0.0
        if built == self._built:
            return
        self._built = built
        self._files = {
            path.relative_to(self._folder).as_posix(): _read(path)
            for path in (self._folder.rglob("*") if built else ())
            if path.is_file() and path.suffix != ".map"
        }


def _page_of(path: str) -> str:
    """Return the page that a deeper address means, relative to it.

    Ultralytics prints ``project/model``, and the model's name here is the run's id. Pages are one
    segment deep: below that they would look for their parts in the wrong place.
    """
    last = path.rstrip("/").rpartition("/")[2]
    page = f"run?id={last}" if _RUN.fullmatch(last) else quote(last)
    return "../" * path.count("/") + page


def _read(path: Path) -> _File:
    data = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    smaller = {
        encoding: packed
        for encoding in ("zstd", "gzip")
        if (packed := compress(data, encoding, once=True)) is not None and len(packed) < len(data)
    }
    return _File(data, kind or "application/octet-stream", smaller)


_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Epochal</title>
<main>
<h1>Epochal is running, its page is not built</h1>
<p>This is a source checkout. Build the page once, then load this address again:</p>
<pre>cd web
npm ci
npm run build</pre>
<p>The interface for programs works without it:
<a href="/api/v1/workspace">/api/v1/workspace</a>,
described in <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
</main>
</html>
"""
