"""`run`: the daemon."""

from __future__ import annotations

import os

import click

from retentiond.cli.desk import options
from retentiond.cli.front import common


@click.command()
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=600,
    show_default=True,
    help="Kill a run that makes no progress for so long.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8471",
    show_default=True,
    help="Where health and metrics are to be had, on this machine only; or off.",
)
@common
def run(patience: float, listen: str) -> int:
    """Look at every category on its schedule, and enforce what was approved.

    Stays in the foreground. SIGHUP reads the configuration again, SIGTERM ends it after the
    batch in hand. It says what it does as lines of JSON on standard error.
    """
    from retentiond.config.load import find
    from retentiond.daemon.service import Service

    Service(find(options().config, os.environ), patience=patience, listen=listen).run()
    return 0
