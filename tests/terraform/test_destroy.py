"""Sites on an emulator of AWS that a destroy finds unfinished, protected, or nearly gone.

That of a whole site is in test_site_on_aws.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from emulator import SITE, aws_site, emulator
from half_made import interrupt_apply
from made_site import MadeSite

pytest_plugins = ("aws_fixtures",)
pytestmark = pytest.mark.timeout(600)


def test_a_half_made_site_is_destroyed_with_its_data_and_nothing_is_left(tmp_path: Path) -> None:
    with emulator() as aws:
        site = aws_site(tmp_path, aws)
        interrupt_apply(site)
        done = site.orthweb("destroy", "--confirm", "clinic")
        assert done.status == 0 and "clinic is destroyed; nothing else of it is left on AWS" in done.err, done.all
        assert "kept" not in done.all
        assert not aws.client("s3").list_buckets()["Buckets"]
        assert "nothing to destroy" in site.orthweb("destroy", "--confirm", "clinic").err


def _change_state(made: MadeSite, resources: list[Any], **parts: Any) -> None:
    """Change what Terraform knows of a site: what it has made, and some of the output `site`."""
    path = made.site.terraform / "terraform.tfstate"
    state = json.loads(path.read_text())
    site = state["outputs"]["site"]
    site["value"] |= parts
    site["type"][1] |= dict.fromkeys(parts, "bool")
    path.write_text(json.dumps({**state, "resources": resources}))


def test_a_protected_site_is_not_destroyed_whatever_was_written_since(made: MadeSite) -> None:
    _change_state(made, [], protected=True)
    made.site.describe(SITE.replace("aws: {", "aws: {protected: false, "))
    done = made.site.orthweb("destroy", "--confirm", "clinic")
    assert done.status == 2 and "clinic is protected: AWS would refuse to delete its database" in done.err, done.all
    assert "'protected: false' in the aws section of orthweb.yaml, 'orthweb apply', then destroy" in done.err


def test_a_destroy_that_was_interrupted_at_its_end_lets_go_of_what_stays_and_ends(made: MadeSite) -> None:
    key = {
        "module": "module.site.module.key", "mode": "managed", "type": "terraform_data", "name": "this",
        "provider": 'provider["terraform.io/builtin/terraform"]',
        "instances": [{"schema_version": 0, "attributes": {"id": "x", "input": None, "output": None}}],
    }  # fmt: skip
    # What the last apply has said counts, and not what was written since.
    _change_state(made, [key], protected=False, keep_data=True)
    made.site.describe(SITE.replace("aws: {", "aws: {keep_data: false, "))
    done = made.site.orthweb("destroy", "--confirm", "clinic")
    assert done.status == 0 and "clinic is destroyed" in done.err, done.all
    assert "This keeps the images and the key that opens them" in done.out
    state = json.loads((made.site.terraform / "terraform.tfstate").read_text())
    assert (state["resources"], state["outputs"]) == ([], {})
    assert made.site.orthweb("output").status == 1
    assert "nothing to destroy" in made.site.orthweb("destroy", "--confirm", "clinic").err
