"""Ingest through a site in containers beside the native one: `python bench/containers.py`, as root.

Both take the same 512 slices from DCMTK's storescu at 1, 4 and 8 associations, in turn, in one run; either has three
Orthanc servers. It needs the engine of the tests: PYTHONPATH=tests/site:tests/terraform:tests/host. The images are the
tests' stand-ins, with Orthanc and PostgreSQL of Debian 13, where the native site has those of this machine.
"""

from __future__ import annotations

from benchsite import BenchSite
from container_site import ContainerSite, container_site
from engine import own_engine
from ground import own_ground
from images import ORTHANC, images_data
from ingest import compare, options, scratch_folder
from network import network


def storescu(site: ContainerSite) -> list[str]:
    """The command that stores into a site in containers, up to the files."""
    tls = site.device("bench")
    return ["storescu", "-aec", "ORTHANC", *tls, site.host, str(site.dicom_port)]


def main() -> None:
    chosen = options(__doc__)
    with (
        scratch_folder() as scratch,
        own_ground() as ground,
        network(ground) as net,
        own_engine(ground, net, images_data(ground, net)) as engine,
        container_site(engine, f"orthanc: {{image: '{ORTHANC}', replicas: 3}}") as contained,
        BenchSite(scratch / "site") as native,
    ):
        compare({"native": native.storescu, "containers": storescu(contained)}, chosen, scratch)


if __name__ == "__main__":
    main()
