"""Terraform's state of a site on AWS: who only looks leaves it alone, and a bucket keeps it for several people."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from emulator import REGION, SITE, AwsSite, aws_site
from harness import eventually
from made_hosts import failed
from made_site import MadeSite

from orthweb.aws import state
from orthweb.aws.account import Account
from orthweb.errors import Failure
from orthweb.site.aws import Aws
from orthweb.site.lock import site_lock
from orthweb.site.paths import SitePaths

pytest_plugins = ("aws_fixtures",)

_BUCKET, _KEY = "clinic-states", "clinic.tfstate"
_IN_BUCKET = SITE.replace("aws: {", f"aws: {{state: 's3://{_BUCKET}/{_KEY}', ")
_LOCK = {
    "ID": "0b1c2d3e", "Operation": "OperationTypeApply", "Who": "anna@desk", "Version": "1.11.4",
    "Created": "2026-11-21T20:01:02.123456789Z", "Path": f"{_BUCKET}/{_KEY}", "Info": "",
}  # fmt: skip


def _bucket(made: MadeSite, **objects: str) -> Any:
    s3 = made.site.emulator.client("s3")
    s3.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, text in objects.items():
        s3.put_object(Bucket=_BUCKET, Key=key, Body=text.encode())
    return s3


def _prepare(site: AwsSite) -> None:
    """Leave what Terraform leaves in a folder whose state is local."""
    (site.terraform / ".terraform").mkdir()
    backend = {"type": "local", "config": {"path": "terraform.tfstate", "workspace_dir": None}, "hash": 1}
    (site.terraform / ".terraform" / "terraform.tfstate").write_text(json.dumps({"version": 3, "backend": backend}))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_who_looks_at_a_site_waits_for_nobody_and_neither_writes_for_terraform_nor_moves_the_state(
    made: MadeSite, tmp_path: Path
) -> None:
    site = made.site
    _prepare(site)
    # As if somebody had just written this, and not applied it.
    site.describe(_IN_BUCKET.replace("hosts: {", "network: {zones: 3}, hosts: {"))
    for name in ("aws", "session-manager-plugin"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$*"\n')
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    with site_lock(SitePaths(site.folder), "apply"):
        before = _files(site.terraform)
        told = site.orthweb("status", "--json", ORTHWEB_TERRAFORM="/nonexistent")
        opened = site.orthweb("connect", ORTHWEB_TERRAFORM="/nonexistent", PATH=path)
        assert _files(site.terraform) == before
        shown = site.orthweb("output", "--json", ORTHWEB_TERRAFORM="/nonexistent")
        # So that commands which only speak to the site find it.
        kept = {"outputs.json": (site.terraform / "outputs.json").read_bytes()}
        assert _files(site.terraform) == before | kept
    assert json.loads(told.out)["address"]["address"] == made.address, told.all
    assert f"--target {made.hosts['primary']} " in opened.out, opened.all
    assert json.loads(shown.out)["site_address"] == made.address, shown.all
    assert not site.emulator.client("s3").list_buckets()["Buckets"]


def test_a_second_person_sees_the_site_without_terraform_and_with_nothing_but_its_description(
    made: MadeSite, folder: Path
) -> None:
    kept = (made.site.terraform / "terraform.tfstate").read_text()
    s3 = _bucket(made, **{_KEY: kept})
    second = aws_site(folder, made.site.emulator, _IN_BUCKET)
    done = second.orthweb("output", "--json", ORTHWEB_TERRAFORM="/nonexistent")
    assert done.status == 0 and json.loads(done.out)["site_address"] == made.address, done.all
    # Whoever was here when the state was still local, and has none.
    _prepare(second)
    assert second.output()["site_address"] == made.address
    state = json.loads(kept)
    state["outputs"]["orthweb_version"]["value"] = "999.1"
    s3.put_object(Bucket=_BUCKET, Key=_KEY, Body=json.dumps(state).encode())
    failed(second.orthweb("status"), "was last applied by Orthweb 999.1")
    s3.delete_object(Bucket=_BUCKET, Key=_KEY)
    failed(second.orthweb("status"), "clinic has not been applied")


def test_a_local_state_moves_into_the_bucket_with_the_next_plan_and_is_locked_there(made: MadeSite) -> None:
    site = made.site
    # Terraform is prepared here, and nothing is done.
    assert "nobody can be asked here" in site.orthweb("destroy").err
    assert (site.terraform / ".terraform" / "terraform.tfstate").exists(), "Terraform keeps its place elsewhere now"
    (site.terraform / "terraform.tfstate").write_text(_with(site, {}))
    site.describe(_IN_BUCKET)
    site.find_bucket(_BUCKET, _KEY)
    done = site.orthweb("plan", "--create-state")
    assert done.status == 0 and f"made the bucket for the state: s3://{_BUCKET}/{_KEY}" in done.err, done.all
    s3 = site.emulator.client("s3")
    moved = json.loads(s3.get_object(Bucket=_BUCKET, Key=_KEY)["Body"].read())
    assert moved["outputs"]["site_address"]["value"] == made.address
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=_BUCKET)["Contents"]] == [_KEY], "no lock is left"
    s3.put_object(Bucket=_BUCKET, Key=f"{_KEY}.tflock", Body=json.dumps(_LOCK).encode())
    done = site.orthweb("plan")
    failed(done, "the state is locked: anna@desk has been at 'apply' since 2026-11-21", "force-unlock 0b1c2d3e")
    assert site.output()["site_address"] == made.address, "who looks needs no lock"


@pytest.mark.parametrize(
    ("theirs", "told"),
    [({"lineage": "another"}, "holds the state of another site"), ({"serial": 9}, "holds a newer state of this site")],
)
def test_a_state_never_moves_over_that_of_another_site_or_over_a_newer_one(
    made: MadeSite, theirs: dict[str, Any], told: str
) -> None:
    site = made.site
    (site.terraform / "terraform.tfstate").write_text(_with(site, {}))
    text = _with(site, theirs)
    s3 = _bucket(made, **{_KEY: text})
    _prepare(site)
    site.describe(_IN_BUCKET)
    done = site.orthweb("plan")
    assert done.status == 2 and f"aws.state: s3://{_BUCKET}/{_KEY}: {told}" in done.err, done.all
    assert s3.get_object(Bucket=_BUCKET, Key=_KEY)["Body"].read().decode() == text


def _with(site: AwsSite, more: dict[str, Any]) -> str:
    """The site's state, as if it had made something."""
    found = json.loads((site.terraform / "terraform.tfstate").read_text())
    thing = {
        "module": "module.elsewhere", "mode": "managed", "type": "terraform_data", "name": "this",
        "provider": 'provider["terraform.io/builtin/terraform"]',
        "instances": [{"schema_version": 0, "attributes": {"id": "x", "input": None, "output": None}}],
    }  # fmt: skip
    return json.dumps({**found, "resources": [thing], **more})


@pytest.fixture
def account() -> Account:
    return Account(Aws.model_validate({"region": REGION}))


def test_a_state_that_is_just_being_written_is_waited_for(account: Account, tmp_path: Path) -> None:
    paths = SitePaths(tmp_path)
    paths.terraform.mkdir(parents=True)
    path, text = paths.terraform / "terraform.tfstate", json.dumps({"version": 4, "outputs": {}, "resources": []})
    path.write_text(text[:20])
    found: list[state.State | None] = []
    reader = threading.Thread(target=lambda: found.append(state.read_state(account, paths, None)))
    reader.start()
    path.write_text(text)
    eventually(lambda: bool(found), 30, "the state to be read")
    reader.join()
    assert found == [state.State("", 0, {}, 0)]


def test_a_damaged_state_is_named(account: Account, tmp_path: Path) -> None:
    paths = SitePaths(tmp_path)
    paths.terraform.mkdir(parents=True)
    assert state.read_state(account, paths, None) is None
    path = paths.terraform / "terraform.tfstate"
    path.write_text("")
    assert state.read_state(account, paths, None) is None, "what is left of one that has moved"
    path.write_text("{")
    with pytest.raises(Failure, match=r"terraform\.tfstate: is no state"):
        state.read_state(account, paths, None)
    path.write_text('{"version": 5}')
    with pytest.raises(Failure, match="not of a form that this version knows"):
        state.read_state(account, paths, None)
