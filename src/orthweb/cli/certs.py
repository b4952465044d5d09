"""`orthweb certs show | issue | rotate | use`: the certificates of the site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orthweb.cli.console import JsonOption, SiteOption, changing, print_json, site_at, stderr, stdout

app = typer.Typer(no_args_is_help=True, help="Certificates: the site's authority, its server and its devices.")


@app.command()
def show(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Show subject, names, issuer, fingerprint and days left of the site's certificates."""
    from orthweb.local.status import certificates

    _, paths = site_at(site)
    found = certificates(paths)
    if as_json:
        print_json(found)
        return
    console = stdout()
    if not found:
        stderr().print("no certificates yet: 'orthweb up' makes them")
    for certificate in found:
        console.print(f"[bold]{certificate['use']}[/]")
        for label, value in _lines(certificate):
            console.print(f"  {label:12} {value}", markup=False)


@app.command()
def issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the device; also the name of its files.")],
    site: SiteOption = Path("."),
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where the files are written.")] = Path("."),
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name or address of a device that also receives over TLS; repeatable."),
    ] = None,
    pkcs12: Annotated[bool, typer.Option("--pkcs12", help="Also write NAME.p12 for Java, macOS and Windows.")] = False,
    java: Annotated[
        bool, typer.Option("--java", help="Also write truststore.p12, a Java trust store for dcm4che.")
    ] = False,
) -> None:
    """Issue a device's certificate: NAME.key, NAME.crt and ca.crt in PEM.

    With --pkcs12 or --java a generated password protects the store; it is written to a file beside it.
    """
    from orthweb.local.certificates import issue_device

    with changing(site, f"certs issue {name}") as engine:
        written = issue_device(engine.paths, engine.site, name, to, host or (), pkcs12, java)
    for path in written:
        stderr().print(f"wrote {path}")


@app.command()
def rotate(site: SiteOption = Path(".")) -> None:
    """Replace the server certificate by a new one. Associations in flight go on."""
    with changing(site, "certs rotate") as engine:
        engine.rotate_certificate()


@app.command()
def use(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERT", help="Your certificate in PEM; may hold the chain as well.")
    ],
    key: Annotated[Path, typer.Argument(metavar="KEY", help="Its private key in PEM, without a password.")],
    chain: Annotated[Path | None, typer.Argument(metavar="[CHAIN]", help="Intermediate certificates in PEM.")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Use your own server certificate: checks it, writes it into orthweb.yaml, and shows it from then on."""
    with changing(site, "certs use") as engine:
        engine.use_certificate(certificate, key, chain)


def _lines(certificate: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("subject", certificate["subject"]),
        ("names", ", ".join(certificate["names"]) or "-"),
        ("issuer", certificate["issuer"]),
        ("fingerprint", certificate["fingerprint_sha256"]),
        ("key", certificate["key"]),
        ("valid until", certificate["not_after"]),
        ("days left", certificate["days_left"]),
    ]
