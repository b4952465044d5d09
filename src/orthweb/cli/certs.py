"""`orthweb certs show | issue | rotate | use | export | import`: the certificates of the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orthweb.cli.console import JsonOption, SiteOption, changing, locked, print_json, site_at, stderr, stdout
from orthweb.errors import Failure, InputError

app = typer.Typer(no_args_is_help=True, help="Certificates: the site's authority, its server and its devices.")


@app.command()
def show(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Show subject, names, issuer, fingerprint and days left of the site's certificates."""
    from orthweb.running.overview import certificates

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
    from orthweb.pki.of_site import issue_device

    described, paths = site_at(site)
    with locked(described, paths, f"certs issue {name}"):
        written = issue_device(paths, described, name, to, host or (), pkcs12, java)
    for path in written:
        stderr().print(f"wrote {path}")


@app.command()
def rotate(site: SiteOption = Path(".")) -> None:
    """Replace the server certificate by a new one. Associations in flight go on."""
    described, paths = site_at(site)
    if described.aws is not None:
        from orthweb.aws.provisioning import Provisioning

        with locked(described, paths, "certs rotate") as voice:
            work = Provisioning(described, paths, voice)
            work.begin()
            work.rotate_certificate()
        return
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
    """Use your own server certificate: checks it, writes it into orthweb.yaml, and shows it from then on.

    On AWS, write its files into tls.certificate in orthweb.yaml and apply.
    """
    with changing(site, "certs use") as engine:
        engine.use_certificate(certificate, key, chain)


PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="First line of this file, instead of asking.", dir_okay=False
    ),
]


@app.command()
def export(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as clinic-authority.p12.")],
    site: SiteOption = Path("."),
    passphrase_file: PassphraseOption = None,
) -> None:
    """Write the site's authority with its key to a file, for an administrator who takes over.

    Whoever has the file and its passphrase can issue certificates that open the site. Hand the two over on
    different ways.
    """
    from orthweb.pki.handing_over import export_authority
    from orthweb.pki.of_site import authority

    described, paths = site_at(site)
    if not (paths.pki / "ca.key").exists():
        raise Failure(
            f"{paths.pki / 'ca.key'}: is not there", "the authority is made by 'orthweb up' or 'orthweb apply'"
        )
    passphrase = _passphrase(passphrase_file, "Passphrase for the file", twice=True)
    with locked(described, paths, "certs export"):
        export_authority(authority(paths, described), to, passphrase)
    stderr().print(f"wrote {to}: the site's authority with its key")


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What 'orthweb certs export' wrote.")],
    site: SiteOption = Path("."),
    passphrase_file: PassphraseOption = None,
) -> None:
    """Take over a site's authority from a file, so that certificates can be issued from here."""
    from orthweb.pki.handing_over import import_authority

    described, paths = site_at(site)
    passphrase = _passphrase(passphrase_file, "Passphrase of the file", twice=False)
    with locked(described, paths, "certs import"):
        found = import_authority(source, passphrase, paths.pki)
    stderr().print(f"this site's authority is {found.certificate.subject.rfc4514_string()}")


def _passphrase(file: Path | None, prompt: str, twice: bool) -> str:
    if file is not None:
        try:
            return (file.read_text(encoding="utf-8").splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--passphrase-file: {file}: cannot be read ({error})", "a text file is needed") from None
    if not sys.stdin.isatty():
        raise InputError("--passphrase-file: missing, and nobody can be asked here", "name a file that holds it")
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice))


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
