"""What `orthweb validate` says of the DICOM port: of a good site, and of sites that are broken in each way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking import edited, sql
from breaking_web import REPLICAS, cluster, instances_changed, proxy_changed, replicas_changed, serve
from dicom_peers import pynetdicom_server
from harness import TestSite, free_port, own_site, run
from pynetdicom import AE
from validating import assert_fails, assert_passes, validate

from orthweb.dicom.uids import VERIFICATION

DICOM = [
    "dicom.echo",
    "dicom.store",
    "dicom.find",
    "dicom.get",
    "dicom.transfer-syntaxes",
    "dicom.without-tls",
    "dicom.nonsense",
    "dicom.called-ae-title",
    "dicom.own-ae-title",
    "dicom.unlisted-ae-title",
    "dicom.services",
]
_JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
_GRAYSCALE_PRINT = "1.2.840.10008.5.1.1.9"


@pytest.fixture(scope="module")
def trusting() -> Iterator[TestSite]:
    """A site that also lets devices without a certificate in, over TLS and without."""
    plaintext = f"{{port: {free_port()}, allowed_cidrs: [127.0.0.0/8, '::1/128']}}"
    more = f"{{orthanc: {{replicas: 1}}, dicom: {{client_certificates: optional, plaintext: {plaintext}}}}}"
    with own_site("trusting", more) as up:
        yield up


def evidence(result: dict[str, Any], name: str) -> str:
    return "\n".join(str(each["text"]) for each in result["evidence"] if each["name"] == name)


def test_a_good_site_passes_every_check_of_its_dicom_port(site: TestSite) -> None:
    results = assert_passes(site, *DICOM)
    assert {name for name in results if name.startswith("dicom.")} == set(DICOM)
    assert results["data.removed"]["status"] == "passed"
    assert site.password() not in json.dumps(results)


def test_the_report_tells_what_was_sent_and_seen(site: TestSite) -> None:
    results = assert_passes(site, "dicom.transfer-syntaxes", "dicom.find", "dicom.unlisted-ae-title")
    assert "TLSv1.3" in results["dicom.echo"]["message"]
    assert "ORTHWEB-VALIDATION-" in evidence(results["dicom.store"], "sent")
    assert "ORTHWEB^VALIDATION" in evidence(results["dicom.find"], "C-FIND: the study by its patient")
    assert evidence(results["dicom.get"], "the dataset") == "byte for byte as it was sent"
    sweep = results["dicom.transfer-syntaxes"]
    taken, refused = evidence(sweep, "taken").split("\n"), evidence(sweep, "refused").split("\n")
    assert len(taken) + len(refused) == 30 and len(taken) >= 20
    # What is no valid stream is said to be none.
    assert [line for line in taken if "stand for a picture" in line and "Part 2" in line]
    assert f"{len(taken)} with the pixel data that were sent" in evidence(sweep, "came back")
    refusals = results["dicom.unlisted-ae-title"]["evidence"]
    assert [each["name"].split()[0] for each in refusals] == ["C-FIND", "C-GET", "C-MOVE"]
    assert all(re.search("abort|lost|reject|not authorized", each["text"]) for each in refusals), refusals


def test_without_the_sweep_no_transfer_syntaxes_are_tried(site: TestSite) -> None:
    results = validate(site, "--quick", "--only", "dicom")
    assert "dicom.transfer-syntaxes" not in results
    assert results["dicom.get"]["status"] == "passed"


def test_the_test_images_are_valid_for_dcmtk(tmp_path: Path) -> None:
    from orthweb.validation.samples.syntax_samples import contexts
    from orthweb.validation.samples.test_data import TestData

    data = TestData(tmp_path)
    made = [data.ct, *(data.sample(syntax, number) for number, (_, syntax) in enumerate(contexts(), 1))]
    done = run(["dcmftest", *(image.path for image in made)])
    assert done.status == 0 and done.out.count("yes:") == len(made), done.all
    decoders = {
        "dcmdjpeg": ["50", "51", "57", "70"],
        "dcmdjpls": ["80", "81"],
    }
    by_syntax = {image.transfer_syntax: image for image in made[1:]}
    for program, parts in decoders.items():
        for part in parts:
            path = by_syntax[f"1.2.840.10008.1.2.4.{part}"].path
            done = run([program, path, tmp_path / "decoded.dcm"])
            assert done.status == 0, (path, done.all)
    # Every dataset is read to its end, also what dcmdump can't decode.
    for image in made:
        done = run(["dcmdump", image.path])
        assert done.status == 0 and not re.search("^[EW]:", done.all, re.MULTILINE), (image.path, done.all)
        assert "PixelData" in done.out


@pytest.mark.twin("dicom.echo")
def test_servers_that_hang_are_found(breakable: TestSite) -> None:
    pids = [breakable.kill(name, signal.SIGSTOP) for name in REPLICAS]
    try:
        result = assert_fails(breakable, "dicom.echo", "C-ECHO to localhost port [0-9]+: ", "orthweb status")
        assert result["seconds"] < 15
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        serve(breakable)


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be made, also not by whom it belongs to."""
    modes = {path: path.stat() for path in [folder, *folder.rglob("*")] if path.is_dir()}
    try:
        for path in modes:
            if os.getuid() == 0:
                os.chown(path, 0, 0)
            path.chmod(0o555)
        yield
    finally:
        for path, before in modes.items():
            path.chmod(before.st_mode)
            if os.getuid() == 0:
                os.chown(path, before.st_uid, before.st_gid)


@pytest.mark.twin("dicom.store")
def test_a_storage_that_takes_nothing_is_found(breakable: TestSite) -> None:
    with _read_only(breakable.state / "data/dicom"):
        # Orthanc 1.10 gives no answer, and leaves the association open.
        message = "C-STORE was answered with status|C-STORE to .*: nothing from the peer"
        assert_fails(breakable, "dicom.store", message, "free disk")
    results = assert_passes(breakable, "dicom.store")
    assert results["data.removed"]["status"] == "passed"


@pytest.mark.twin("dicom.find", "dicom.get")
def test_servers_that_do_not_know_orthwebs_title_are_found(breakable: TestSite) -> None:
    with replicas_changed(breakable, REPLICAS, lambda options: options["DicomModalities"].pop("orthweb")):
        for check, service in (("dicom.find", "C-FIND"), ("dicom.get", "C-GET")):
            assert_fails(breakable, check, f"{service} as ORTHWEB is refused", "DicomModalities of every Orthanc")


@contextlib.contextmanager
def _trigger(site: TestSite, table: str, body: str) -> Iterator[None]:
    """PostgreSQL changes what is about to be written to a table."""
    sql(site, f"CREATE FUNCTION twin() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    sql(site, f"CREATE TRIGGER twin BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION twin()")
    try:
        yield
    finally:
        sql(site, "DROP FUNCTION twin() CASCADE")


@pytest.mark.twin("dicom.find")
def test_an_index_that_loses_rows_is_found(breakable: TestSite) -> None:
    with _trigger(breakable, "dicomidentifiers", "RETURN NULL;"):
        result = assert_fails(breakable, "dicom.find", "tells 0 matches of 1 for the study by its UID", "one database")
    assert len(result["findings"]) == 3


@pytest.mark.twin("dicom.find")
def test_an_index_that_tells_something_else_is_found(breakable: TestSite) -> None:
    other = "IF NEW.value = 'ORTHWEB^VALIDATION' THEN NEW.value := 'SOMEBODY^ELSE'; END IF; RETURN NEW;"
    with _trigger(breakable, "maindicomtags", other):
        assert_fails(
            breakable, "dicom.find", "tells PatientName 'SOMEBODY.ELSE' .* 'ORTHWEB.VALIDATION' was sent", "LuaScripts"
        )


@pytest.mark.twin("dicom.get")
def test_an_archive_that_recodes_images_is_found(breakable: TestSite) -> None:
    def recodes(options: dict[str, Any]) -> None:
        options["IngestTranscoding"] = _JPEG_LOSSLESS

    with replicas_changed(breakable, REPLICAS, recodes):
        assert_fails(
            breakable,
            "dicom.get",
            "it comes in JPEG Lossless.*, and was sent in Explicit VR Little Endian",
            "IngestTranscoding",
        )


@pytest.mark.twin("dicom.get")
def test_an_archive_that_changes_a_pixel_is_found(breakable: TestSite) -> None:
    with instances_changed(breakable, "received[:-1] + bytes([received[-1] ^ 1])"):
        assert_fails(
            breakable, "dicom.get", "other pixel data: byte 524287 of 524288 is the first", "plugins of Orthanc"
        )


@pytest.mark.twin("dicom.transfer-syntaxes")
def test_an_archive_that_changes_compressed_images_is_found(breakable: TestSite) -> None:
    # The last byte of the only fragment stands before the item that ends them all.
    changed = "received[:-9] + bytes([received[-9] ^ 1]) + received[-8:]"
    with instances_changed(breakable, f"{changed} if b'{_JPEG_LOSSLESS}' in received[:600] else received"):
        result = assert_fails(
            breakable, "dicom.transfer-syntaxes", "^JPEG Lossless, .*: other pixel data", "keeps images as they come"
        )
    assert len(result["findings"]) == 1, "only one transfer syntax is broken"


def _door(envoy: dict[str, Any], name: str = "dicom") -> dict[str, Any]:
    """The filter chain of a DICOM port."""
    listeners = {each["name"]: each for each in envoy["static_resources"]["listeners"]}
    chain: dict[str, Any] = listeners[name]["filter_chains"][0]
    return chain


def _without_gate(envoy: dict[str, Any]) -> None:
    chain = _door(envoy)
    chain["filters"] = [each for each in chain["filters"] if "wasm" not in each["name"]]
    # The gate is what waits for the client's first bytes.
    chain["filters"][-1]["typed_config"].pop("upstream_connect_mode")


def _without_tls(envoy: dict[str, Any]) -> None:
    _door(envoy).pop("transport_socket")


@pytest.mark.twin("dicom.own-ae-title", "dicom.nonsense")
def test_a_proxy_without_its_gate_is_found(breakable: TestSite) -> None:
    with proxy_changed(breakable, _without_gate):
        assert_fails(
            breakable,
            "dicom.own-ae-title",
            "another?.* let in as 'ORTHWEB'|let in as 'ORTHWEB'",
            "orthweb restart envoy",
        )
        assert_fails(
            breakable, "dicom.nonsense", "neither answered nor cut off|keeps all others out", "put the proxy right"
        )


@pytest.mark.twin("dicom.without-tls")
def test_a_port_that_answers_without_tls_is_found(breakable: TestSite) -> None:
    with proxy_changed(breakable, _without_tls):
        assert_fails(breakable, "dicom.without-tls", "answers DICOM without TLS: .* can be read", "put the proxy right")


def _asks_nobody(options: dict[str, Any]) -> None:
    options["DicomCheckCalledAet"] = False
    for service in ("Find", "Get", "Move"):
        options[f"DicomAlwaysAllow{service}"] = True


@pytest.mark.twin("dicom.called-ae-title", "dicom.unlisted-ae-title")
def test_servers_that_ask_nobody_who_they_are_are_found(breakable: TestSite) -> None:
    with replicas_changed(breakable, REPLICAS, _asks_nobody):
        assert_fails(breakable, "dicom.called-ae-title", "meant for OW-[0-9A-F]{12}", "DicomCheckCalledAet")
        result = assert_fails(breakable, "dicom.unlisted-ae-title", "C-FIND is done for", "DicomAlwaysAllowFind")
    assert len(result["findings"]) == 3
    assert "OW-" not in json.dumps(breakable.json("/changes?last"))


@pytest.mark.parametrize("service", ["Find", "Get", "Move"])
def test_one_service_that_is_open_to_all_is_named(trusting: TestSite, service: str) -> None:
    with replicas_changed(trusting, REPLICAS[:1], lambda options: options.update({f"DicomAlwaysAllow{service}": True})):
        result = assert_fails(
            trusting, "dicom.unlisted-ae-title", f"C-{service.upper()} is (done|tried)", f"DicomAlwaysAllow{service}"
        )
    assert len(result["findings"]) == 1


@pytest.mark.twin("dicom.services")
def test_a_port_that_leads_to_a_printer_is_found(breakable: TestSite) -> None:
    printer = AE("ORTHANC")
    printer.add_supported_context(VERIFICATION)
    printer.add_supported_context(_GRAYSCALE_PRINT)
    internal = breakable.state / "pki/internal"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(internal / "orthanc-dicom.crt", internal / "orthanc-dicom.key")
    with pynetdicom_server(printer, [], tls) as port:

        def leads_there(envoy: dict[str, Any]) -> None:
            endpoints = cluster(envoy, "orthanc-dicom")["load_assignment"]["endpoints"]
            first = endpoints[0]["lb_endpoints"][0]["endpoint"]
            first["address"]["socket_address"]["port_value"] = port

        with proxy_changed(breakable, leads_there, REPLICAS[:1]):
            assert_fails(breakable, "dicom.services", "it takes Basic Grayscale Print", "proxy leads to Orthanc")


@pytest.mark.twin("dicom.without-tls")
def test_a_port_without_tls_that_is_there_on_purpose_is_a_warning(trusting: TestSite) -> None:
    port = trusting.description.dicom.plaintext.port
    result = assert_fails(
        trusting,
        "dicom.without-tls",
        f"port {port} takes DICOM without TLS, on purpose",
        "as soon as",
        status="warning",
    )
    assert evidence(result, f"A-ASSOCIATE-RQ without TLS on port {port}").startswith("A-ASSOCIATE-")


@pytest.mark.twin("dicom.without-tls")
def test_a_port_without_tls_that_does_not_answer_is_found(trusting: TestSite) -> None:
    # Described, and not brought up.
    port = trusting.description.dicom.plaintext.port
    with edited(trusting.folder / "orthweb.yaml", f"port: {port}", f"port: {free_port()}"):
        assert_fails(trusting, "dicom.without-tls", "without TLS on purpose, does not answer", "orthweb up")


def test_a_site_without_certificates_takes_nothing_from_those_that_are_not_listed(trusting: TestSite) -> None:
    results = assert_passes(trusting, "dicom.unlisted-ae-title")
    assert "C-STORE refused" in results["dicom.unlisted-ae-title"]["message"]


@pytest.mark.twin("dicom.unlisted-ae-title")
def test_a_site_that_takes_images_from_anybody_is_found(trusting: TestSite) -> None:
    with replicas_changed(trusting, REPLICAS[:1], lambda options: options.update(DicomAlwaysAllowStore=True)):
        assert_fails(trusting, "dicom.unlisted-ae-title", "C-STORE is done for OW-", "DicomAlwaysAllowStore")
    assert not trusting.instances()
