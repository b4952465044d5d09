"""The configuration of each Orthanc server, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from orthweb.errors import InputError
from orthweb.render.place import Bucket, Place, Rendered, Replica, Secrets
from orthweb.site.model import HEALTH_USER, OWN_AE_TITLE, ClientCertificates, Modality, Site

# Since plugin 6 transactions may run as ReadCommitted, so that several writers no longer wait for each other.
_SPREADING_PLUGIN = (6,)

_TLS_1_2 = 4  # Orthanc Book, "Securing Orthanc": SslMinimumProtocolVersion

# Only requests of its own may use the health check's account: it has no business with patients' data.
_HEALTH_LUA = f"""function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  if username == '{HEALTH_USER}' then
    return method == 'GET' and (uri == '/changes' or uri == '/system')
  end
  return true
end
"""


def spreads_writers(place: Place) -> bool:
    """Whether several Orthanc servers may write to the index at once without slowing each other down."""
    return place.versions.postgresql_plugin >= _SPREADING_PLUGIN


def index_connections(place: Place) -> int:
    """Connections that each Orthanc server opens to the database."""
    # Before plugin 6 all transactions are SERIALIZABLE: a second connection buys retries, not speed.
    return 10 if spreads_writers(place) else 1


def orthanc_files(site: Site, place: Place, secrets: Secrets) -> dict[str, Rendered]:
    """Make the configuration folder of every Orthanc server: `orthanc-N/orthanc.json` and its secret part."""
    files: dict[str, Rendered] = {"orthanc/health.lua": Rendered(_HEALTH_LUA)}
    users = Rendered(_dump({"RegisteredUsers": dict(secrets.users)}), secret=True)
    for replica in place.replicas:
        settings = _merge(orthanc_settings(site, place, replica), site.orthanc.settings)
        files[f"{replica.name}/orthanc.json"] = Rendered(_dump(settings))
        files[f"{replica.name}/users.json"] = users
        if place.bucket is not None:
            files[f"{replica.name}/storage.json"] = Rendered(_dump(_bucket(place.bucket, secrets)), secret=True)
    return files


def owned_settings(site: Site, place: Place) -> list[str]:
    """Find the options of `orthanc.settings` that Orthweb sets itself, as warnings for a person.

    Raises
    ------
    InputError
        An option that no site works with when it is set by hand.
    """
    return _overlap(orthanc_settings(site, place, place.replicas[0]), site.orthanc.settings, "orthanc.settings")


def check_settings(site: Site) -> None:
    """Refuse options that break every site; raises InputError."""
    for option, instead in _NEVER.items():
        if option in site.orthanc.settings:
            value = site.orthanc.settings[option]
            shown = "(not shown)" if option in ("RegisteredUsers", "AwsS3Storage") else repr(value)
            raise InputError(f"orthweb.yaml: orthanc.settings.{option}: {shown}: {instead}")


_NEVER = {
    "HttpPort": "two replicas would share a port; Orthweb gives each its own, and web.port is the site's",
    "DicomPort": "two replicas would share a port; Orthweb gives each its own, and dicom.port is the site's",
    "RegisteredUsers": "passwords do not belong in orthweb.yaml; name the users in orthanc.users",
    "AwsS3Storage": "keys do not belong in orthweb.yaml; describe the bucket in storage",
}


def orthanc_settings(site: Site, place: Place, replica: Replica) -> dict[str, Any]:
    """Make what Orthweb itself says to one Orthanc server, secrets excepted."""
    files = place.files
    settings: dict[str, Any] = {
        "Name": f"{site.name} {replica.name}",
        "StorageDirectory": str(files.objects),
        "TemporaryDirectory": str(files.temporary),
        "StorageCompression": False,
        "SyncStorageArea": True,
        "StoreMD5ForAttachments": True,
        "MaximumStorageSize": 0,
        "SaveJobs": False,
        "StorageAccessOnFind": "Never",
        "LimitFindResults": 1000,
        "LimitFindInstances": 1000,
        "DatabaseServerIdentifier": f"{site.name}-{replica.name}",
        "LuaScripts": [str(files.config / "orthanc/health.lua")],
        "ExecuteLuaEnabled": False,
        "RestApiWriteToFileSystemEnabled": False,
        "WebDavEnabled": False,
        "HttpsCACertificates": "/etc/ssl/certs/ca-certificates.crt",
        "MallocArenaMax": 5,
        **_web(place, replica),
        **_dicom(site, place, replica),
        **_plugins(place),
        "PostgreSQL": _postgresql(place),
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "EnableWado": True,
            "WadoRoot": "/wado",
            "Ssl": True,
        },
    }
    return settings


def _web(place: Place, replica: Replica) -> dict[str, Any]:
    pki = place.files.pki
    return {
        "HttpServerEnabled": True,
        "HttpPort": replica.http_port,
        "RemoteAccessAllowed": place.remote_proxy,
        "AuthenticationEnabled": True,
        "KeepAlive": True,
        "TcpNoDelay": True,
        "HttpThreadsCount": 50,
        "HttpDescribeErrors": True,
        "HttpCompressionEnabled": False,
        "SslEnabled": True,
        "SslCertificate": str(pki / "internal/orthanc.pem"),
        "SslMinimumProtocolVersion": _TLS_1_2,
        "SslVerifyPeers": True,
        "SslTrustedClientCertificates": str(pki / "internal/ca.crt"),
    }


def _dicom(site: Site, place: Place, replica: Replica) -> dict[str, Any]:
    pki = place.files.pki
    # Whoever has a certificate of the site's authority is known: it may store. Where a door is open without
    # one, only the listed modalities may.
    certain = site.dicom.client_certificates is ClientCertificates.REQUIRED and site.dicom.plaintext is None
    return {
        "DicomServerEnabled": True,
        "DicomAet": site.orthanc.ae_title,
        "DicomPort": replica.dicom_port,
        "DicomCheckCalledAet": True,
        # Behind the proxy every peer has the proxy's address.
        "DicomCheckModalityHost": False,
        # While echo or store is allowed to all, Orthanc takes every association; the services stay guarded.
        "DicomAlwaysAllowEcho": certain,
        "DicomAlwaysAllowStore": certain,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomAlwaysAllowMove": False,
        # Orthanc has no setting for its ports' address: where others reach them, only the proxy's certificate helps.
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(pki / "internal/orthanc-dicom.crt"),
        "DicomTlsPrivateKey": str(pki / "internal/orthanc-dicom.key"),
        "DicomTlsTrustedCertificates": str(pki / "internal/trusted.crt"),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomThreadsCount": 50,
        "MaximumPduLength": 131072,
        "UnknownSopClassAccepted": True,
        "DicomModalitiesInDatabase": False,
        "DicomModalities": _modalities(site),
    }


def _modalities(site: Site) -> dict[str, Any]:
    """Those of the site, and Orthweb's own commands: the gate lets nobody else call by their title."""
    listed = site.orthanc.modalities
    rendered = {name: _modality(modality) for name, modality in listed.items()}
    if any(modality.ae_title == OWN_AE_TITLE for modality in listed.values()):
        return rendered
    # They query and are never called: nothing listens there.
    own = {"AET": OWN_AE_TITLE, "Host": "127.0.0.1", "Port": 104, "UseDicomTls": False}
    return {OWN_AE_TITLE.lower(): own, **rendered}


def _modality(modality: Modality) -> dict[str, Any]:
    return {
        "AET": modality.ae_title,
        "Host": modality.host,
        "Port": modality.port,
        "UseDicomTls": modality.tls,
    }


def _plugins(place: Place) -> dict[str, Any]:
    files, settings = place.files, {}
    names = ["OrthancPostgreSQLIndex", "OrthancDicomWeb"]
    if place.bucket is not None and files.s3_plugin is not None:
        names.append("OrthancPython")
        settings = {"PythonScript": str(files.s3_plugin), "PythonVerbose": False}
    if files.plugins is None:
        return settings
    return {"Plugins": [str(files.plugins / f"lib{name}.so") for name in names], **settings}


def _postgresql(place: Place) -> dict[str, Any]:
    database, files = place.database, place.files
    section: dict[str, Any] = {
        "EnableIndex": True,
        "EnableStorage": False,
        # libpq verifies the server only when asked to, and reads the password from a file of mode 0600.
        "ConnectionUri": (
            f"postgresql://{database.user}@{database.host}:{database.port}/{database.name}"
            f"?sslmode=verify-full&sslrootcert={quote(str(database.ca or files.pki / 'internal/ca.crt'))}"
            f"&passfile={quote(str(files.config / 'postgresql/pgpass'))}&connect_timeout=10"
        ),
        "Lock": False,
        "IndexConnectionsCount": index_connections(place),
    }
    if spreads_writers(place):
        section["TransactionMode"] = "ReadCommitted"
    return section


def _bucket(bucket: Bucket, secrets: Secrets) -> dict[str, Any]:
    section: dict[str, Any] = {
        "BucketName": bucket.name,
        "Region": bucket.region,
        "RootPath": bucket.root_path,
        "StorageStructure": "flat",
    }
    if bucket.endpoint:
        section |= {
            "Endpoint": bucket.endpoint,
            "AccessKey": secrets.s3_access_key,
            "SecretKey": secrets.s3_secret_key,
            "VirtualAddressing": False,
        }
    files: dict[str, Any] = {"AwsS3Storage": section}
    own = {"CaBundle": bucket.ca, "Folder": bucket.folder}
    given = {option: str(path) for option, path in own.items() if path is not None}
    return {**files, "OrthwebS3": given} if given else files


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _overlap(base: Mapping[str, Any], over: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for key, value in over.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            found += _overlap(old, value, f"{path}.{key}")
        elif key in base and old != value:
            found.append(f"orthweb.yaml: {path}.{key}: {value!r} replaces Orthweb's own {old!r}")
    return found


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=False) + "\n"
