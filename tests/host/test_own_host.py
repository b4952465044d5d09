"""A site in containers on a machine with Docker: `orthweb up --engine compose`."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_site import ContainerSite, container_site
from engine import Engine, let_use
from images import BROKEN_ORTHANC, ENVOY, NEWER_ORTHANC, ORTHANC
from people import ordinary_user
from polling import polling
from traffic import SLOW, make_images, sending

pytest_plugins = ("host_fixtures",)


@pytest.fixture(scope="module")
def site(engine: Engine) -> Iterator[ContainerSite]:
    """A site in containers, which the tests of this file share."""
    with container_site(engine) as made:
        yield made


def test_a_site_in_containers_is_healthy_and_passes_validation(site: ContainerSite) -> None:
    state = site.status()
    assert state["healthy"], state
    assert [service["name"] for service in state["services"]] == ["postgresql", "orthanc-1", "orthanc-2", "envoy"]
    done = site.orthweb("validate", "--json")
    assert done.status == 0, done.all
    found = {result["id"]: result["status"] for result in json.loads(done.out)["checks"]}
    assert [name for name, status in found.items() if status in ("failed", "warning")] == []
    inside = ("server.services", "server.started", "server.finished", "database.row", "storage.object")
    assert {found[name] for name in (*inside, "dicom.store", "web.login")} == {"passed"}, found


def test_validation_and_audit_look_into_the_containers(site: ContainerSite, tmp_path: Path) -> None:
    images = make_images(tmp_path, 3)
    with sending(site, images, senders=1, retry=False) as transfer:
        transfer.finish()
    done = site.orthweb("audit", "--json")
    assert done.status == 0, done.all
    lost = next(path for path in (site.state / "data/objects").glob("*/*/*") if path.stat().st_size > 10_000)
    kept = lost.rename(tmp_path / lost.name)
    done = site.orthweb("audit")
    kept.rename(lost)
    assert done.status == 1 and lost.name in done.out, done.all
    site.engine.docker("stop", site.ids()["orthanc-2"])
    done = site.orthweb("validate", "--quick")
    site.up()
    assert done.status == 1 and "orthanc-2 does not run: it is exited" in done.out, done.all


def test_a_second_up_changes_nothing(site: ContainerSite) -> None:
    before = site.ids()
    done = site.up()
    assert "nothing had to change" in done.out
    assert site.ids() == before


def test_render_shows_that_nothing_would_change(site: ContainerSite) -> None:
    done = site.orthweb("render", "--json")
    assert done.status == 0, done.all
    assert set(json.loads(done.out).values()) == {"unchanged"}
    assert "compose.json" in json.loads(done.out)


def test_no_container_has_more_than_it_needs(site: ContainerSite) -> None:
    found = site.containers()
    assert set(found) == {"postgresql", "orthanc-1", "orthanc-2", "envoy"}
    for name, told in found.items():
        host, user = told["HostConfig"], int(told["Config"]["User"].split(":")[0])
        assert user != 0, name
        assert host["ReadonlyRootfs"] and not host["Privileged"], name
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert 0 < host["PidsLimit"] <= 1024 and host["Memory"] > 0, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert told["State"]["Health"]["Status"] == "healthy", name
        assert host["LogConfig"]["Config"].get("max-size"), name
        written = [mount["Destination"] for mount in told["Mounts"] if mount["RW"]]
        assert all(path.startswith(("/var/lib/", "/run/orthweb")) for path in written), (name, written)


def test_only_the_proxy_has_ports_and_the_servers_reach_nobody_from_inside(site: ContainerSite) -> None:
    for name, told in site.containers().items():
        published = [port for port, hosts in told["NetworkSettings"]["Ports"].items() if hosts]
        ports = [f"{site.web_port}/tcp", f"{site.dicom_port}/tcp"] if name == "envoy" else []
        assert sorted(published) == sorted(ports), name
        networks = told["NetworkSettings"]["Networks"]
        inside = next(network for network in networks if network.endswith("_inside"))
        assert json.loads(site.engine.docker("network", "inspect", inside))[0]["Internal"]
    database = site.containers()["postgresql"]["NetworkSettings"]["Networks"]
    assert [name.rpartition("_")[2] for name in database] == ["inside"]


def test_no_secret_is_in_what_the_engine_tells_nor_in_a_file_that_others_read(site: ContainerSite) -> None:
    secrets = [site.password(), (site.state / "secrets/postgres-orthanc").read_text().strip()]
    secrets += json.loads((site.state / "secrets/users.json").read_text()).values()
    told = json.dumps(site.containers()) + (site.state / "config/compose.json").read_text()
    logs = site.orthweb("logs", "-n", "1000").out
    for secret in secrets:
        assert secret not in told
        assert secret not in logs
    for path in (site.state / "config").rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_new_setting_and_another_image_reach_each_replica_without_a_failed_request_or_association(
    site: ContainerSite, tmp_path: Path
) -> None:
    before, images = site.ids(), make_images(tmp_path, 60)
    # The image has a variable of this name. (What `${HOME}` stands for, Orthanc looks up itself, in every engine.)
    name = "Clinic of $HOME"
    site.describe(f"orthanc: {{settings: {{Name: '{name}'}}}}")
    site.describe("orthanc: {modalities: {ct1: {ae_title: CT1, host: 127.0.0.1, port: 4242}}}")
    site.describe(f"orthanc: {{image: '{NEWER_ORTHANC}'}}")
    with polling(site) as polls, sending(site, images, senders=2, retry=False, environment=SLOW) as transfer:
        transfer.reach(3)
        site.up()
        transfer.finish()
    assert not polls.failures
    assert (transfer.statuses, transfer.troubles) == ([0, 0], [])
    after = site.ids()
    assert {name for name in after if after[name] != before[name]} == {"orthanc-1", "orthanc-2"}
    assert (site.json("/modalities"), site.json("/system")["Name"]) == (["ct1", "orthweb"], name)
    site.assert_keeps(images)


def test_an_image_that_does_not_work_stops_at_the_first_replica_and_the_site_answers(site: ContainerSite) -> None:
    before = site.ids()
    site.describe(f"orthanc: {{image: '{BROKEN_ORTHANC}'}}")
    with polling(site) as polls:
        done = site.orthweb("up")
    assert done.status == 1
    assert "orthanc-1 does not become healthy" in done.err
    assert not polls.failures
    assert site.ids()["orthanc-2"] == before["orthanc-2"]
    site.describe(f"orthanc: {{image: '{ORTHANC}'}}")
    site.up()
    assert site.status()["healthy"]


def test_an_image_that_is_not_to_be_had_is_named_and_nothing_is_changed(site: ContainerSite) -> None:
    before = site.ids()
    site.describe("envoy: {image: '127.0.0.1:1/none:1'}")
    done = site.orthweb("up")
    site.describe(f"envoy: {{image: '{ENVOY}'}}")
    assert done.status == 1
    assert done.err.startswith("orthweb: image 127.0.0.1:1/none:1: "), done.err
    assert site.ids() == before


def test_a_port_that_is_taken_is_said_and_the_next_up_goes_on(site: ContainerSite) -> None:
    engine = site.engine
    engine.docker("stop", site.ids()["envoy"])
    taker = engine.docker(
        "run", "--detach", "--publish", f"0.0.0.0:{site.web_port}:443", "--entrypoint", "sleep", ENVOY, "300"
    ).strip()
    try:
        done = site.orthweb("up")
    finally:
        engine.docker("rm", "--force", taker)
    assert done.status == 1
    assert "Docker finds a port taken" in done.err
    site.up()
    assert site.status()["healthy"]


def test_a_new_certificate_is_shown_and_nobody_is_interrupted(site: ContainerSite, tmp_path: Path) -> None:
    before, images = site.ids(), make_images(tmp_path, 40)
    with polling(site) as polls, sending(site, images, senders=1, retry=False, environment=SLOW) as transfer:
        transfer.reach(3)
        done = site.orthweb("certs", "rotate")
        assert done.status == 0, done.all
        transfer.finish()
    assert not polls.failures
    assert (transfer.statuses, transfer.troubles) == ([0], [])
    assert site.ids() == before


def test_the_other_engine_is_refused_for_its_data(site: ContainerSite) -> None:
    done = site.orthweb("up", "--engine", "native")
    assert done.status == 2
    assert "brought up with the engine compose" in done.err


def test_down_ends_it_and_up_brings_back_what_was_stored(site: ContainerSite, tmp_path: Path) -> None:
    images = make_images(tmp_path, 3)
    with sending(site, images, senders=1, retry=False) as transfer:
        transfer.finish()
    done = site.orthweb("down", "--drain", "0")
    assert (done.status, site.containers()) == (0, {}), done.all
    assert site.orthweb("status").status == 1
    site.up()
    site.assert_keeps(images)


def test_an_ordinary_user_who_may_use_docker_has_a_site_too(engine: Engine, tmp_path: Path) -> None:
    with ordinary_user() as person:
        site = ContainerSite(engine, person.home / "site", let_use(engine, person))
        subprocess.run(["chown", "-R", f"{person.uid}:{person.gid}", site.folder], check=True)
        try:
            site.up()
            assert site.status()["healthy"]
            for name, told in site.containers().items():
                assert told["Config"]["User"] == f"{person.uid}:{person.gid}", name
            images = make_images(tmp_path, 3)
            with sending(site, images, senders=1, retry=False) as transfer:
                transfer.finish()
            site.assert_keeps(images)
            assert "nothing had to change" in site.up().out
        finally:
            down = site.orthweb("down", "--drain", "0", "--purge", "--yes")
        assert (down.status, site.state.exists()) == (0, False), down.all
