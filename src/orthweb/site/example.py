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

_ON_AWS = """\
# yaml-language-server: $schema={schema}
# A site of Orthweb on AWS. 'orthweb plan' shows what 'orthweb apply' would make of it.
# Every field is described in the reference; what is left out has a safe default.

name: {name}
environment: {environment}          # in production, data are protected and outlive a destroy
owner: {owner}

orthanc:
  replicas: 3               # Orthanc servers on each host
  ae_title: ORTHANC
  users: [admin]            # 'orthweb password admin' shows the generated password
  # modalities:             # nodes that may query and retrieve, and that the site may send to
  #   ct1: {{ae_title: CT1, host: 192.0.2.21, port: 104}}

web:                        # HTTPS on port 443
  allowed_cidrs: []         # who may connect: the public addresses of your networks, such as 192.0.2.0/24

dicom:                      # DICOM over TLS on port 11112
  client_certificates: required   # 'orthweb certs issue NAME' makes a device's certificate
  allowed_cidrs: []         # who may connect

# tls:
#   names: [pacs.example.org]   # what browsers and devices call this site, beside its address

aws:
  region: {region}
  # profile: clinic         # of your AWS configuration; what the environment says when left out
  # account: "123456789012" # with credentials of another account nothing is done
  # state: s3://my-bucket/orthweb/{name}.tfstate   # for a site that several people look after
  # logs: {{alarm_email: pacs@example.org}}
"""


def example_on_aws(name: str, owner: str, environment: str, region: str) -> str:
    """Make a short commented `orthweb.yaml` for a site on AWS."""
    return _ON_AWS.format(schema=SCHEMA_FILE, region=region, **_quoted(name, owner, environment))


def example(name: str, owner: str, environment: str, web_port: int, dicom_port: int) -> str:
    """Make a short commented `orthweb.yaml`."""
    return _EXAMPLE.format(schema=SCHEMA_FILE, web=web_port, dicom=dicom_port, **_quoted(name, owner, environment))


def _quoted(name: str, owner: str, environment: str) -> dict[str, str]:
    """What a person says, as YAML."""
    return {
        "name": json.dumps(name) if not name.replace("-", "").isalnum() or name in _WORDS else name,
        "owner": json.dumps(owner),
        "environment": json.dumps(environment) if not environment.isalpha() else environment,
    }


def schema_text() -> str:
    """Make the JSON Schema of `orthweb.yaml` (draft 2020-12)."""
    schema = Site.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Orthweb site"
    return json.dumps(schema, indent=2) + "\n"
