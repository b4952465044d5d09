"""A small Compose project of the stand-in images, with all that a hardened one restricts: nothing of Orthweb's own."""

from __future__ import annotations

from images import ENVOY, ORTHANC, POSTGRESQL

COMPOSE = f"""
name: ground
services:
  database:
    image: {POSTGRESQL}
    user: "999:999"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: ["/var/run/postgresql:uid=999,gid=999", /tmp]
    environment: {{POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_USER: orthanc, POSTGRES_DB: index}}
    volumes: ["data:/var/lib/postgresql/data", "./secrets/password:/run/secrets/password:ro"]
    healthcheck: {{test: [CMD, pg_isready, -h, 127.0.0.1], interval: 1s, retries: 30}}
  orthanc:
    image: {ORTHANC}
    user: "999:999"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: ["/tmp:uid=999,gid=999", "/run/orthanc/plugins:uid=999,gid=999,exec"]
    depends_on: {{database: {{condition: service_healthy}}}}
    environment:
      GENERATE_HOST_ID_IF_MISSING: "false"
      ORTHANC__NAME: from a variable
      ORTHANC__POSTGRESQL__PASSWORD_SECRET: password
    volumes: ["./etc:/etc/orthanc:ro", "./secrets:/run/secrets:ro", "objects:/var/lib/orthanc/db"]
    healthcheck: {{test: [CMD, /probes/test-aliveness.py], interval: 1s, retries: 30}}
  envoy:
    image: {ENVOY}
    user: "101:101"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    volumes: ["./envoy.yaml:/etc/envoy/envoy.yaml:ro"]
    ports: ["PORT:443"]
volumes: {{data: , objects: }}
"""
SETTINGS = {
    "HttpDescribeErrors": True,
    "PostgreSQL": {"Host": "database", "Database": "index", "Username": "orthanc", "IndexConnectionsCount": 1},
    "DicomWeb": {},
}
_TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
PROXY = {
    "static_resources": {
        "listeners": [
            {
                "address": {"socket_address": {"address": "0.0.0.0", "port_value": 443}},
                "filter_chains": [
                    {
                        "filters": [
                            {
                                "name": "tcp",
                                "typed_config": {
                                    "@type": _TCP_PROXY,
                                    "stat_prefix": "tcp",
                                    "cluster": "orthanc",
                                },
                            }
                        ]
                    }
                ],
            }
        ],
        "clusters": [
            {
                "name": "orthanc",
                "type": "STRICT_DNS",
                "load_assignment": {
                    "cluster_name": "orthanc",
                    "endpoints": [
                        {
                            "lb_endpoints": [
                                {
                                    "endpoint": {
                                        "address": {"socket_address": {"address": "orthanc", "port_value": 8042}}
                                    }
                                }
                            ]
                        }
                    ],
                },
            }
        ],
    },
}
