"""Changes one section of a person's `orthweb.yaml` and leaves the rest, comments included, as it is."""

from __future__ import annotations

import io
from pathlib import Path

from ruamel.yaml import YAML

from orthweb.site.files import write_file
from orthweb.site.load import SITE_FILE, parse_site
from orthweb.site.model import Site


def set_certificate(folder: Path, certificate: Path, key: Path, chain: Path | None) -> Site:
    """Write the user's own certificate into `tls.certificate`; returns the new description.

    Files inside the site's folder are named relative to it.
    """
    path = folder / SITE_FILE
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    data = yaml.load(path.read_text(encoding="utf-8"))
    section = {"certificate": _named(folder, certificate), "key": _named(folder, key)}
    if chain is not None:
        section["chain"] = _named(folder, chain)
    if not isinstance(data.get("tls"), dict):
        data["tls"] = {}
    data["tls"]["certificate"] = section
    text = io.StringIO()
    yaml.dump(data, text)
    site = parse_site(text.getvalue())
    write_file(path, text.getvalue(), path.stat().st_mode & 0o777)
    return site


def _named(folder: Path, path: Path) -> str:
    absolute = path.absolute()
    return str(absolute.relative_to(folder)) if absolute.is_relative_to(folder) else str(absolute)
