"""The command `orthweb`: parses, calls the engines, prints; every error ends here as one line and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from orthweb import __version__
from orthweb.cli import (
    audit,
    bundle,
    certs,
    configuration,
    connect,
    day_two,
    demo,
    host,
    lifecycle,
    observe,
    provision,
    query,
    retrieve,
    send,
    setup,
    validate,
)
from orthweb.cli.console import HERE, report
from orthweb.errors import OrthwebError

app = typer.Typer(
    name="orthweb",
    help="A secure, highly available mini-PACS built on Orthanc.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
configuration.register(app)
lifecycle.register(app)
observe.register(app)
app.add_typer(certs.app, name="certs")
send.register(app)
query.register(app)
retrieve.register(app)
validate.register(app)
audit.register(app)
provision.register(app)
day_two.register(app)
connect.register(app)
bundle.register(app)
host.register(app)
demo.register(app)
setup.register(app)


_INTERRUPTED = 130


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"orthweb {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    site: Annotated[
        Path | None,
        typer.Option("-C", "--site", metavar="FOLDER", help="Folder of the site; may also follow the command."),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Of a site on AWS, mean a copy on this machine, to try it.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    if site is not None:
        os.environ["ORTHWEB_SITE"] = str(site)
    if here:
        os.environ[HERE] = "1"


def main() -> None:
    """Run the command line; the exit status is 0, 1 (it failed) or 2 (it was asked wrongly)."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except OrthwebError as error:
        report(error)
        sys.exit(error.exit_status)
    except SystemExit as ended:
        # What Typer makes of Ctrl-C, without a word.
        if ended.code == _INTERRUPTED:
            report(OrthwebError("interrupted", "the same command goes on from here"))
        raise
    except BrokenPipeError:
        # The reader of our output has gone; so do we, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        report(OrthwebError(f"{error.filename or 'this machine'}: {error.strerror or error}"))
        sys.exit(1)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
