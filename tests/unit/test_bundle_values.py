"""What a site's description becomes for its hosts, on its way through Terraform."""

from __future__ import annotations

import json

from orthweb.render.terraform import site_json, terraform_values
from orthweb.site.load import parse_site

_AWS = "aws: {region: eu-central-1, account: '123456789012'}\n"


def test_a_host_is_told_what_orthweb_yaml_says_and_nothing_of_aws() -> None:
    site = parse_site(f"{_AWS}orthanc: {{replicas: 2, settings: {{Name: '${{x}} %{{y}}'}}}}\nname: clinic\n")
    said = json.loads(site_json(site))
    assert said == {"name": "clinic", "orthanc": {"replicas": 2, "settings": {"Name": "${x} %{y}"}}}
    assert parse_site(json.dumps(said)).orthanc == site.orthanc, "a host reads it as any description"
    assert terraform_values(site)["site_json"] == site_json(site)


def test_the_same_description_in_another_order_is_the_same_text() -> None:
    one = parse_site(f"name: clinic\northanc: {{replicas: 2, users: [a, b]}}\n{_AWS}")
    other = parse_site(f"{_AWS}orthanc: {{users: [a, b], replicas: 2}}\nname: clinic\n")
    assert site_json(one) == site_json(other)


def test_a_bundle_is_named_by_its_file_and_its_sum() -> None:
    site = parse_site(f"name: clinic\n{_AWS}")
    assert terraform_values(site, {"path": "b.tar.gz", "sha256": "0" * 64})["bundle"] == {
        "path": "b.tar.gz",
        "sha256": "0" * 64,
    }
    assert "bundle" not in terraform_values(site)
