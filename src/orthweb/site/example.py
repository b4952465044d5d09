"""The `orthweb.yaml` that `orthweb init` writes, and the JSON Schema of the model."""

from __future__ import annotations

import json

from orthweb.site.load import SCHEMA_FILE
from orthweb.site.model import Site

# What YAML reads as something else than text.
_WORDS = ("null", "true", "false")
_EXAMPLE = """\
# yaml-language-server: $schema={schema}
# A site of Orthweb. 'orthweb up' makes what runs equal to what stands here.
# Every field is described in the reference; what is left out has a safe default.

name: {name}
environment: {environment}          # dev, test, staging or production
owner: {owner}

orthanc:
  replicas: 3               # Orthanc servers that share one index and one storage
  ae_title: ORTHANC
  users: [admin]            # 'orthweb password admin' shows the generated password
  # modalities:             # nodes that may query and retrieve, and that the site may send to
  #   ct1: {{ae_title: CT1, host: 192.168.10.21, port: 104}}

web:
  port: {web}                # HTTPS
  # Who may connect. Only this machine, until you name others:
  # allowed_cidrs: [127.0.0.0/8, "::1/128", 192.168.10.0/24]

dicom:
  port: {dicom}               # DICOM over TLS
  client_certificates: required   # 'orthweb certs issue NAME' makes a device's certificate
  # allowed_cidrs: [127.0.0.0/8, "::1/128", 192.168.10.0/24]

# tls:
#   names: [pacs.example.org]   # what browsers and devices call this site

storage: filesystem         # or s3
"""


def example(name: str, owner: str, environment: str, web_port: int, dicom_port: int) -> str:
    """Make a short commented `orthweb.yaml`."""
    return _EXAMPLE.format(
        schema=SCHEMA_FILE,
        name=json.dumps(name) if not name.replace("-", "").isalnum() or name in _WORDS else name,
        owner=json.dumps(owner),
        environment=json.dumps(environment) if not environment.isalpha() else environment,
        web=web_port,
        dicom=dicom_port,
    )


def schema_text() -> str:
    """Make the JSON Schema of `orthweb.yaml` (draft 2020-12)."""
    schema = Site.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Orthweb site"
    return json.dumps(schema, indent=2) + "\n"
