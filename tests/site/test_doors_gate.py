"""Devices that have a good certificate and then say nothing, half of something, or nonsense."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pydicom.data
import pytest
from doors import Stalled, device_context, log_entry, talk
from harness import TestSite
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification

SERIES = sorted((Path(pydicom.data.__file__).parent / "test_files/dicomdirtests/98892003/MR700").iterdir())
VERIFICATION = "1.2.840.10008.1.1"
# What the site allows a device for its request, and what a busy machine adds to it.
REQUEST_SECONDS, GRACE_SECONDS = 15, 5


def association_request() -> bytes:
    """An A-ASSOCIATE-RQ as pynetdicom makes it."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "DEVICE", "ORTHANC"
    context = build_context(VERIFICATION, ImplicitVRLittleEndian)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    primitive.user_information = [MaximumLengthNotification()]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return bytes(request.encode())


def test_silent_and_half_spoken_devices_hold_up_nobody_and_are_closed(site: TestSite) -> None:
    whole = association_request()
    context = device_context(site)
    with contextlib.ExitStack() as stack:
        stalled = Stalled(stack, site.dicom_port, 40, whole[: len(whole) // 2], context)
        done = site.store(*SERIES)
        assert done.status == 0, done.all
        assert stalled.still_open() == 40, "they were gone before the store was over"
        stalled.wait_closed(REQUEST_SECONDS + GRACE_SECONDS)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(random.Random(3).randbytes(100_000), id="random bytes"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"\x01\x00\xff\xff\xff\xff" + bytes(1000), id="a request of 4 GB"),
        pytest.param(b"\x01\x00\x00\x00\x00\x64" + bytes(100), id="a request without items"),
        pytest.param(b"\x04\x00\x00\x00\x00\x08" + bytes(8), id="data before a request"),
    ],
)
def test_nonsense_is_hung_up_on_at_once_and_logged(site: TestSite, words: bytes) -> None:
    talked = talk(site.dicom_port, words, limit=REQUEST_SECONDS / 2, tls=device_context(site))
    assert talked.answer == b""
    entry = log_entry(site, ["dicom"], talked.began, client=f"127.0.0.1:{talked.port}")
    assert entry["replica"] is None, "an Orthanc server was bothered"
    assert "A-ASSOCIATE-RQ" in str(entry["refused"]), entry
    assert site.echo().status == 0


def test_a_whole_request_is_answered(site: TestSite) -> None:
    # The contrast to the above: a whole request, after which the device hangs up.
    talked = talk(
        site.dicom_port, association_request() + b"\x07\x00\x00\x00\x00\x04" + bytes(4), tls=device_context(site)
    )
    assert talked.answer[0] == 0x02, "not an A-ASSOCIATE-AC (PS3.8 9.3.3)"
