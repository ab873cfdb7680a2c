"""``epochal ui``: the page, served to this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from epochal.cli.common import open_store, workspace_option
from epochal.errors import InvalidInput

if TYPE_CHECKING:
    from epochal.server.serve import Address

__all__ = ["ui_command"]


@click.command("ui")
@click.argument("place", required=False, type=click.Path(path_type=Path), metavar="[WORKSPACE]")
@workspace_option
@click.option("--port", type=click.IntRange(0, 65535), help="Default: 8642, or the next free one.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--token",
    is_flag=True,
    help="Ask for a token: on machines that others use. EPOCHAL_TOKEN sets it, else one is made.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; for others than this machine only with --token.",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A further name that the server is reached under, as through a proxy.",
)
def ui_command(
    place: Path | None,
    workspace: Path | None,
    port: int | None,
    open_page: bool,
    token: bool,
    host: str,
    allow_host: tuple[str, ...],
) -> None:
    """See, compare, understand and decide in the browser.

    Serves the workspace to this machine only and shows trainings as they run. A colleague looks
    through `ssh -L 8642:localhost:8642 HOST`.
    """
    from epochal.server.serve import listen, new_token, policy, serve

    if place is not None and workspace is not None:
        raise InvalidInput("the workspace is named twice", "leave --workspace away")
    secret = (os.environ.get("EPOCHAL_TOKEN") or new_token()) if token else None
    allowed = policy(host, secret, (*allow_host, *_own_names(host)))
    with open_store(place or workspace) as store:  # takes in what is new, with a progress bar
        folder = store.folder
        projects = store.projects()
    listening, address = listen(host, port)
    url = address.url + (f"login?token={secret}" if secret is not None else "")

    def ready() -> None:
        _announce(folder.root, projects, address, url)
        if open_page:
            click.launch(url)

    serve(folder, listening, allowed, url=address.url, ready=ready)


def _own_names(host: str) -> tuple[str, ...]:
    """Return this machine's name where the server listens on all of its interfaces."""
    return (socket.gethostname(), socket.getfqdn()) if host in ("0.0.0.0", "::") else ()


def _announce(root: Path, projects: list[str], address: Address, url: str) -> None:
    # A name can hold anything, escape sequences of terminals included.
    names = ["".join(c if c.isprintable() else "?" for c in name[:60]) for name in projects[:5]]
    shown = ", ".join(names) + (f" and {len(projects) - 5} more" if projects[5:] else "")
    click.echo(f"serving {root}  ({shown or 'no runs yet'})", err=True)
    click.echo(url)
    click.echo("Ctrl-C ends it", err=True)
