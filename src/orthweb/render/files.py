"""All rendered files of a site in one mapping, and which service each of them is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from orthweb.render.envoy import envoy_files
from orthweb.render.orthanc import orthanc_files
from orthweb.render.place import Place, Rendered, Secrets
from orthweb.render.postgres import postgres_files
from orthweb.render.supervisor import Program, supervisor_files
from orthweb.site.model import Site


def render(site: Site, place: Place, secrets: Secrets, programs: Sequence[Program] = ()) -> dict[str, Rendered]:
    """Make every file of the site's configuration, by its path below the folder of configuration.

    Pure: the same arguments make the same text.

    Parameters
    ----------
    programs:
        What a supervisor holds up; none where containers do.
    """
    logs = place.files.logs
    return {
        **orthanc_files(site, place, secrets),
        **envoy_files(site, place, secrets),
        **postgres_files(place, secrets),
        **(supervisor_files(programs, place.files.run, logs) if programs and logs is not None else {}),
    }


def fingerprint(program: Program, files: Mapping[str, Rendered]) -> str:
    """Tell whether a running process still has the configuration that its files now say.

    What a process watches by itself (Envoy its certificates and the replicas) is left out.
    """
    digest = hashlib.sha256(repr((list(program.command), sorted(program.environment.items()))).encode())
    folders = (f"{program.name}/", "orthanc/") if program.name.startswith("orthanc-") else (f"{program.name}/",)
    for path in sorted(files):
        if path.startswith(folders) and not path.startswith(("envoy/sds-", "envoy/eds-")):
            digest.update(f"\0{path}\0{files[path].text}".encode())
    return digest.hexdigest()
