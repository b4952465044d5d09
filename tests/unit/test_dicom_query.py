"""Identifiers as bytes, the presentation contexts of a C-GET, and what a failed call is called."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from orthweb.dicom.errors import AssociationAborted, AssociationRejected, NotAccepted, OperationFailed
from orthweb.dicom.keys import identifier, text_of
from orthweb.dicom.query import InvalidIdentifier, decode, encode
from orthweb.dicom.requestor import Peer
from orthweb.dicom.storage_contexts import ROOM, USUAL_SYNTAXES, grouped, guesses, merged, proposals, slots
from orthweb.dicom.troubles import explain
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT_GET

SYNTAXES = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
CT, MR, SC = (f"1.2.840.10008.5.1.4.1.1.{part}" for part in ("2", "4", "7"))
PLAIN = Peer("pacs.example.org", 104, "PACS")
SECURE = Peer("pacs.example.org", 2762, "PACS", tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


# Identifiers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", ["Doe^John", "Müller^Jürg", "山田^太郎", "", "*^?", "Y" * 64])
def test_an_identifier_comes_back_as_it_was_sent(name: str, syntax: str) -> None:
    sent = identifier("STUDY", {"PatientName": name, "StudyInstanceUID": ["1.2.3", "1.2.4"]})
    came = decode(encode(sent, syntax), syntax)
    assert str(came.PatientName) == name
    assert text_of(came, "StudyInstanceUID") == "1.2.3\\1.2.4"
    assert came.QueryRetrieveLevel == "STUDY"
    assert came.keys() == sent.keys()


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürg"),
        ("ISO_IR 148", "Çavuşoğlu"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
    ],
)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_match_is_read_in_its_own_character_set(charset: str | list[str], name: str, syntax: str) -> None:
    match = Dataset()
    match.SpecificCharacterSet, match.PatientName = charset, name
    assert str(decode(encode(match, syntax), syntax).PatientName) == name


def test_a_match_that_breaks_the_standard_is_still_an_answer() -> None:
    wrong = identifier("STUDY", {"StudyDate": "31.01.2026", "PatientID": "x" * 100, "StudyInstanceUID": "1.02.a"})
    wrong.SpecificCharacterSet = "LATIN 1"
    came = decode(encode(wrong, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)
    assert (came.StudyDate, came.PatientID, came.StudyInstanceUID) == ("31.01.2026", "x" * 100, "1.02.a")


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_whatever_bytes_come_they_are_a_dataset_or_our_own_error(data: bytes, syntax: str) -> None:
    try:
        decode(data, syntax)
    except InvalidIdentifier as error:
        assert "cannot be read" in str(error)


@given(st.data())
def test_an_identifier_that_was_damaged_on_the_way_is_a_dataset_or_our_own_error(data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from(SYNTAXES))
    whole = bytearray(encode(identifier("STUDY", {"PatientName": "Doe", "StudyDate": "20260101"}), syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(whole[: data.draw(st.integers(0, len(whole)))]), syntax)
    except InvalidIdentifier as error:
        assert "cannot be read" in str(error)


# Presentation contexts ----------------------------------------------------------------------------------------------


def test_known_transfer_syntaxes_have_a_context_each_and_no_other() -> None:
    assert proposals({CT: frozenset({"1.2.5", "1.2.4"}), MR: frozenset({"1.2.4"})}) == [
        (CT, ("1.2.4",)),
        (CT, ("1.2.5",)),
        (MR, ("1.2.4",)),
    ]


def test_unknown_transfer_syntaxes_have_a_context_each_as_far_as_there_is_room() -> None:
    alone = proposals({CT: frozenset()})
    assert alone == [(CT, (syntax,)) for syntax in USUAL_SYNTAXES]
    ten = proposals({f"1.2.{number}": frozenset() for number in range(10)})
    assert len(ten) <= ROOM
    for number in range(10):
        own = [syntaxes for sop_class, syntaxes in ten if sop_class == f"1.2.{number}"]
        assert [syntax for syntaxes in own for syntax in syntaxes] == list(USUAL_SYNTAXES)
        assert len(own) == 12


def test_never_more_contexts_than_an_association_has() -> None:
    many = {f"1.2.{number}": frozenset({"1.2", "1.3"}) for number in range(200)}
    assert len(proposals(many)) == ROOM
    assert len(proposals({sop_class: frozenset() for sop_class in many})) == ROOM
    for modality in ("CT", "MR", "US", "SR", "OT", ""):
        assert len(guesses(modality)) == ROOM


def test_a_series_of_unknown_classes_gets_those_of_its_modality_in_every_usual_syntax() -> None:
    guessed = guesses("CT")
    for syntax in USUAL_SYNTAXES[:8]:
        assert (CT, (syntax,)) in guessed
    classes = {sop_class for sop_class, _ in guessed}
    assert {MR, SC} <= classes
    assert len(classes) > 90
    assert len(set(guessed)) == len(guessed)


def test_series_share_an_association_as_far_as_their_contexts_have_room() -> None:
    unknown = [{f"1.2.{number}": frozenset[str]()} for number in range(12)]
    assert grouped(unknown) == [list(range(10)), [10, 11]]
    assert grouped([{CT: frozenset({"1.2"})}] * 5) == [[0, 1, 2, 3, 4]]
    assert grouped([]) == []


def test_a_class_is_of_unknown_syntaxes_when_one_series_does_not_tell_them() -> None:
    known, unknown = {CT: frozenset({"1.2"}), MR: frozenset({"1.3"})}, {CT: frozenset[str]()}
    assert merged(known, unknown) == merged(unknown, known) == {CT: frozenset(), MR: frozenset({"1.3"})}
    assert merged(known, {CT: frozenset({"1.4"})})[CT] == {"1.2", "1.4"}
    assert slots(known) == 2


# Troubles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), "there is no host of the name pacs.example.org", "correct the name"),
        (socket.gaierror(socket.EAI_AGAIN, "no"), "cannot be looked up now", "try again"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "connection refused", "see that it is up"),
        (TimeoutError("timed out"), "did not answer for 15 s", "firewall"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host", "network"),
        (AssociationRejected(1, 1, 7), "does not know itself by the AE title 'PACS'", "--called"),
        (AssociationRejected(1, 1, 3), "does not know the AE title 'ORTHWEB'", "--calling"),
        (AssociationRejected(2, 3, 2), "local limit exceeded (for now)", "try again later"),
        (AssociationRejected(1, 1, 1), "no reason given", "its own log"),
        (AssociationAborted("the connection was lost"), "the connection was lost", "its own log"),
        (NotAccepted("no", STUDY_ROOT_GET), "does not offer C-GET", "--move-to"),
        (OperationFailed("the move failed", 0xA801), "the move failed", "listed there"),
        (ValueError("odd"), "odd", ""),
    ],
)
def test_a_failed_call_is_explained_with_a_remedy(error: Exception, message: str, remedy: str) -> None:
    said, advice = explain(error, PLAIN)
    assert message in said
    assert remedy in advice


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), BrokenPipeError(errno.EPIPE, "pipe")]
)
def test_a_hang_up_in_the_handshake_hints_at_a_port_without_tls(error: OSError) -> None:
    assert explain(error, SECURE) == ("it hung up during the TLS handshake", "if it is a port without TLS, say --plain")
    assert "TLS" not in explain(error, PLAIN)[0]
