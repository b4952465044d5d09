"""A site on AWS as Terraform's files: what the module is given, and what a person is warned of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import orthweb
from orthweb.errors import InputError
from orthweb.render.terraform import terraform_root, terraform_values, terraform_warnings
from orthweb.site.example import example_on_aws
from orthweb.site.load import parse_site
from orthweb.site.model import Site

_VARIABLES = Path(orthweb.__file__).parent / "terraform" / "variables.tf"
_SMALL = "name: clinic\naws: {region: eu-central-1}\n"


def _site(aws: str = "", more: str = "") -> Site:
    return parse_site(f"name: clinic\n{more}\naws: {{region: eu-central-1, {aws}}}\n")


def _root(site: Site) -> dict[str, Any]:
    return dict(json.loads(terraform_root(site, "../module", "1.2.3", terraform_values(site))["main.tf.json"]))


def test_the_module_knows_every_value_that_it_is_given() -> None:
    site = _site("hosts: {pubkey_path: keys/me.pub, ami_id: ami-01234567}, protected: true")
    known = set(re.findall(r'^variable "(\w+)"', _VARIABLES.read_text(), re.MULTILINE))
    given = set(_root(site)["module"]["site"]) - {"source"}
    assert given <= known
    # What a site does not say is the guide's to say, by its environment variables.
    assert {"pubkey_data", "pubkey_path", "DeploymentOptions"} <= given


def test_the_defaults_of_the_model_are_those_of_the_modules() -> None:
    blocks = dict(re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', _VARIABLES.read_text(), re.MULTILINE | re.DOTALL))
    compared = 0
    for name, value in terraform_values(parse_site(_SMALL)).items():
        found = re.search(r"^  default += (.+)$", blocks[name], re.MULTILINE)
        if found is None or found[1] in ("null", "{"):
            continue
        compared += 1
        assert json.loads(found[1]) == value, name
    assert compared > 15


def test_every_value_is_in_the_file_of_values_and_declared_in_the_root() -> None:
    site = _site("tags: {team: imaging}")
    files = terraform_root(site, "../module", "1.2.3", terraform_values(site))
    values, root = json.loads(files["terraform.tfvars.json"]), json.loads(files["main.tf.json"])
    assert set(values) <= set(root["variable"])
    assert values["tags"] == {"team": "imaging"}
    assert root["module"]["site"]["tags"] == "${var.tags}"
    assert root["output"]["orthweb_version"] == {"value": "1.2.3"}


def test_this_machine_alone_is_nobody_for_a_site_elsewhere() -> None:
    values = terraform_values(parse_site(_SMALL))
    assert values["web_cidrs"] == values["dicom_cidrs"] == []
    warnings = terraform_warnings(parse_site(_SMALL))
    assert any("web.allowed_cidrs: nobody will reach" in line for line in warnings)
    assert any("dicom.allowed_cidrs: nobody will reach" in line for line in warnings)


def test_devices_that_are_sent_to_are_reached() -> None:
    modalities = (
        "orthanc: {modalities: {a: {ae_title: A, host: 192.0.2.7}, b: {ae_title: B, host: '2001:db8::7'}, "
        "c: {ae_title: C, host: ct.example.org}}}"
    )
    site = _site("network: {send_cidrs: [192.0.2.7/32, 10.1.0.0/16]}", modalities)
    assert terraform_values(site)["send_cidrs"] == ["192.0.2.7/32", "10.1.0.0/16", "2001:db8::7/128"]


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ("dicom: {allowed_cidrs: [0.0.0.0/0]}", "dicom.allowed_cidrs: 0.0.0.0/0: the whole Internet"),
        ("web: {allowed_cidrs: ['::/0']}", "web.allowed_cidrs: ::/0: the whole Internet"),
        ("dicom: {allowed_cidrs: [172.27.9.0/24]}", "172.27.9.0/24: overlaps aws.network.cidr 172.27.0.0/16"),
    ],
)
def test_what_is_mostly_not_meant_is_said(allowed: str, said: str) -> None:
    assert any(said in line for line in terraform_warnings(_site(more=allowed)))


def test_a_well_described_site_draws_no_warning() -> None:
    site = _site(more="web: {allowed_cidrs: [203.0.113.0/24]}\ndicom: {allowed_cidrs: [203.0.113.0/24]}")
    assert not terraform_warnings(site)


def test_a_state_for_several_people_is_locked_and_encrypted() -> None:
    backend = _root(_site("state: s3://states/clinic.tfstate, profile: me"))["terraform"]["backend"]
    assert backend == {
        "s3": {
            "bucket": "states", "key": "clinic.tfstate", "region": "eu-central-1", "encrypt": True,
            "use_lockfile": True, "profile": "me",
        }
    }  # fmt: skip
    assert list(_root(_site())["terraform"]["backend"]) == ["local"]


def test_terraform_itself_refuses_another_account() -> None:
    assert _root(_site("account: '123456789012'"))["provider"]["aws"]["allowed_account_ids"] == ["123456789012"]


def test_a_key_beside_the_sites_file_is_found_from_where_terraform_works() -> None:
    for given, seen in (("keys/me.pub", "../../keys/me.pub"), ("/k/me.pub", "/k/me.pub"), ("~/me.pub", "~/me.pub")):
        assert terraform_values(_site(f"hosts: {{pubkey_path: {given}}}"))["pubkey_path"] == seen


def test_images_are_the_bundles_unless_the_site_names_others() -> None:
    assert "images" not in terraform_values(parse_site(_SMALL))
    site = _site(more="envoy: {image: mine/envoy}")
    assert terraform_values(site)["images"] == {"envoy": "mine/envoy"}


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-east-1"])
def test_what_init_writes_for_aws_is_a_site(region: str) -> None:
    site = parse_site(example_on_aws("my-clinic", "Dr. A: B", "production", region))
    assert site.aws is not None and site.aws.region == region
    assert (site.web.port, site.dicom.port) == (443, 11112)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: clinic\naws: {}", "aws.region: is missing"),
        ("name: clinic\naws: {region: Frankfurt}", "aws.region: 'Frankfurt': allowed is a region of AWS"),
        ("name: sg-clinic\naws: {region: eu-central-1}", "name: sg-clinic: S3 and RDS take no"),
        ("name: a--b\naws: {region: eu-central-1}", "name: a--b: S3 and RDS take no"),
        ("name: clinic\nowner: '<me>'\naws: {region: eu-central-1}", "owner: becomes a tag"),
        ("name: clinic\nweb: {port: 84}\naws: {region: eu-central-1}", "web.port: 84: a site on AWS listens on 443"),
        ("name: clinic\nweb: {redirect_port: 80}\naws: {region: eu-central-1}", "web.redirect_port: a site on AWS"),
        (
            "name: clinic\ndicom: {plaintext: {allowed_cidrs: [192.0.2.0/24]}}\naws: {region: eu-central-1}",
            "dicom.plaintext: a site on AWS has no port without TLS",
        ),
        ("name: clinic\nstorage: {bucket: mine}\naws: {region: eu-central-1}", "storage: 'apply' makes the bucket"),
        ("name: clinic\naws: {region: eu-central-1, network: {cidr: 10.0.0.0/25}}", "aws.network.cidr: '10.0.0.0/25'"),
        ("name: clinic\naws: {region: eu-central-1, network: {cidr: 10.0.0.0/8}}", "aws.network.cidr: '10.0.0.0/8'"),
        ("name: clinic\naws: {region: eu-central-1, network: {cidr: 10.0.0.1/16}}", "did you mean 10.0.0.0/16"),
        ("name: clinic\naws: {region: eu-central-1, account: '12'}", "aws.account: '12': allowed is an account of AWS"),
        ("name: clinic\naws: {region: eu-central-1, state: s3://only}", "aws.state: 's3://only': local, or a place"),
        ("name: clinic\naws: {region: eu-central-1, logs: {days: 12}}", "aws.logs.days: 12: allowed is 1, 3, 5"),
        (
            "name: clinic\naws: {region: eu-central-1, network: {zone_names: [us-east-1a, us-east-1b]}}",
            "us-east-1a is no zone of eu-central-1",
        ),
        (
            "name: clinic\naws: {region: eu-central-1, network: {zone_names: [eu-central-1a]}}",
            "network.zone_names: there are 1 names and 2 zones",
        ),
        (
            "name: clinic\naws: {region: eu-central-1, hosts: {instance_type: large}}",
            "aws.hosts.instance_type: 'large': allowed is a type of EC2",
        ),
    ],
)  # fmt: skip
def test_a_mistake_names_its_field_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_site(text)
    assert said in str(raised.value)
