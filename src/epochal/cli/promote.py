"""``epochal promote``: a decided run becomes what is deployed."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from epochal.cli.common import (
    json_option,
    open_store,
    print_json,
    project_option,
    run_argument,
    workspace_option,
)
from epochal.registry import aliases
from epochal.registry.promote import PRODUCTION, Promotion, promote
from epochal.registry.webhook import Delivery, check_receiver, deliver

__all__ = ["promote_command"]


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion and who was told."""

    promotion: Promotion
    deliveries: tuple[Delivery, ...]


@click.command("promote")
@run_argument()
@click.argument("alias", default=PRODUCTION)
@click.option("-m", "--reason", default="", help="Why; kept with the change.")
@click.option("--override", default="", metavar="REASON", help="Promote without a `ship`.")
@click.option(
    "--webhook",
    "urls",
    multiple=True,
    metavar="URL",
    envvar="EPOCHAL_WEBHOOK_URL",
    help="Tell this address; repeatable. Also from EPOCHAL_WEBHOOK_URL.",
)
@click.option("--allow-private", is_flag=True, help="Webhooks may go to private addresses.")
@project_option
@workspace_option
@json_option
def promote_command(
    run: str,
    alias: str,
    reason: str,
    override: str,
    urls: tuple[str, ...],
    allow_private: bool,
    project: str | None,
    workspace: Path | None,
    as_json: bool,
) -> None:
    """Point ALIAS (default: production) at RUN, which a decision must let ship.

    \b
      epochal decide v3_pallets_added
      epochal promote v3_pallets_added production -m "line 2 first"

    Webhooks are signed with EPOCHAL_WEBHOOK_SECRET (HMAC-SHA256) and sent again where the other
    side is down. Promoting the same run again sends them again and records nothing.
    """
    secret = os.environ.get("EPOCHAL_WEBHOOK_SECRET", "")
    for url in urls:
        check_receiver(url, secret, allow_private=allow_private)
    with open_store(workspace) as store:
        document = store.find_run(run, project)
        done = promote(store, document, alias, reason=reason, override=override)
        where = aliases(store, document.project)[done.alias]
    if not as_json:
        state = "is now" if done.changed else "is already"
        click.echo(f"{done.name} {state} {done.alias} of {done.project}")
        click.echo(click.style(f"  {where.reason}", dim=True))
    deliveries = []
    for url in urls:
        delivery = deliver(url, "promotion", done, secret, allow_private=allow_private)
        deliveries.append(delivery)
        if not as_json:
            tries = f" at attempt {delivery.attempts}" if delivery.attempts > 1 else ""
            click.echo(f"  told {url.partition('?')[0]}{tries}")
    if as_json:
        print_json(Promoted(promotion=done, deliveries=tuple(deliveries)))
