"""The reports of a validation: whatever a site says of itself arrives as text, and breaks neither page nor XML."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_reports import ODD, STARTED, made_certificate, made_check, made_report, png, troubled_report
from page_reader import Tag, read_page

from orthweb.validation.check import Report, Result, Status
from orthweb.validation.look import Evidence, Finding
from orthweb.validation.reports import to_html, to_junit

# Whatever arrives as it is: no control characters, no halves of surrogate pairs, nothing that turns text around.
ORDINARY = st.text(
    st.characters(
        exclude_categories=["Cc", "Cs"], exclude_characters="\u202d\u202e\ufffe\uffff", include_characters="\n\t"
    ),
    min_size=1,
    max_size=40,
)
ANYTHING = st.text(st.characters(), max_size=40)
# What each element may have, what it must have, and what may be in it: junit-10.xsd of Jenkins' xUnit plugin.
JENKINS = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id"},
        {"name", "tests", "failures", "errors"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": ({"name", "time", "classname"}, {"name"}, {"skipped", "failure", "system-out"}),
    "failure": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}
SUREFIRE_TIME = r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?"


def with_texts(texts: Callable[[], str]) -> Report:
    """A report of every status in which `texts` gives whatever a site or a check says."""
    results = []
    for number, status in enumerate(Status):
        trouble = status in (Status.FAILED, Status.WARNING)
        results.append(
            Result(
                made_check(f"subject{number}.{texts()}", texts(), texts()),
                status,
                texts(),
                texts() if trouble else "",
                (Finding(texts(), texts()), Finding(texts(), texts(), serious=False)) if trouble else (),
                (Evidence(texts(), texts()),),
                0.1,
            )
        )
    return made_report(
        *results,
        site=texts(),
        environment=texts(),
        owner=texts(),
        address=texts(),
        versions={texts(): texts()},
        certificates=(made_certificate(texts(), 1, 100, subject=texts(), issuer=texts(), key=texts()),),
    )


@st.composite
def reports(draw: st.DrawFn, text: st.SearchStrategy[str]) -> tuple[Report, list[str]]:
    """A report and all the texts in it."""
    said: list[str] = []

    def give() -> str:
        said.append(draw(text))
        return said[-1]

    return with_texts(give), said


def read_junit(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(to_junit(report).encode())  # noqa: S314 - the test's own


def no_controls(text: str) -> bool:
    return re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffe\uffff]", text) is None


# The page --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(reports(ORDINARY))
def test_every_text_is_on_the_page_as_it_was_said(made: tuple[Report, list[str]]) -> None:
    report, said = made
    shown = "\0".join(tag.text for tag in read_page(to_html(report)).all())
    missing = [text for text in said if text not in shown]
    assert missing == []


@settings(max_examples=60, deadline=None)
@given(reports(ANYTHING))
def test_no_text_becomes_a_part_of_the_page(made: tuple[Report, list[str]]) -> None:
    page = to_html(made[0])
    assert no_controls(page)
    page.encode()
    tags = list(read_page(page).all())
    usual = list(read_page(to_html(troubled_report())).all())
    assert {tag.name for tag in tags} <= {tag.name for tag in usual}
    assert {name for tag in tags for name in tag.attributes} <= {name for tag in usual for name in tag.attributes}
    assert {word for tag in tags for word in tag.classes} <= {
        *(word for tag in usual for word in tag.classes),
        *("none", "line", "short"),
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x00", "\u241b[31mred\u2400"),
        ("a\r\nb\rc\n\td", "a\nb\u240dc\n\td"),
        ("\x7f\x85", "\u2421\\x85"),
        ("half \ud800 pair, \uffff", "half \\ud800 pair, \\uffff"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("<b>&lt;</b>\"'", "<b>&lt;</b>\"'"),
        ("\u05e9\u05dc\u05d5\u05dd \U0001fac0", "\u05e9\u05dc\u05d5\u05dd \U0001fac0"),
    ],
)
def test_what_nobody_could_see_is_spelt_out(said: str, shown: str) -> None:
    report = with_texts(lambda: said)
    assert shown in {tag.text for tag in read_page(to_html(report)).all() if tag.name == "samp"}
    root = read_junit(report)
    assert shown in {found.get("value") for found in root.iter("property")}


def test_the_page_refers_to_nothing_outside_it() -> None:
    page = to_html(troubled_report())
    root = read_page(page)
    for tag in root.all():
        assert tag.name not in ("script", "iframe", "object", "embed", "form", "base")
        assert "style" not in tag.attributes and not any(name.startswith("on") for name in tag.attributes)
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert tag.attributes.get(name, "#").startswith(("#", "data:")), tag.attributes
    style = next(tag.text for tag in root.all() if tag.name == "style")
    assert not re.search(r"url\(|@import|image-set|src:", style)


def test_the_browser_is_told_to_load_and_run_nothing() -> None:
    policy = next(
        tag.attributes["content"]
        for tag in read_page(to_html(made_report())).all()
        if tag.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    allowed = dict(each.split(" ", 1) for each in policy.split("; "))
    assert allowed.pop("style-src").startswith("'sha256-")
    assert allowed == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}


def test_every_link_leads_to_a_part_of_the_page() -> None:
    tags = list(read_page(to_html(troubled_report())).all())
    names = [tag.attributes["id"] for tag in tags if "id" in tag.attributes]
    assert len(names) == len(set(names))
    targets = {tag.attributes["href"][1:] for tag in tags if tag.name == "a"}
    assert targets and targets <= set(names)
    assert {tag.attributes["aria-labelledby"] for tag in tags if "aria-labelledby" in tag.attributes} <= set(names)


@pytest.mark.parametrize("report", [troubled_report(), made_report()], ids=["troubled", "empty"])
def test_headings_go_down_one_level_at_a_time(report: Report) -> None:
    levels = [int(tag.name[1]) for tag in read_page(to_html(report)).all() if re.fullmatch(r"h\d", tag.name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))


def test_the_same_report_always_makes_the_same_files() -> None:
    program = (
        "import hashlib; from made_reports import troubled_report; from orthweb.validation.reports import *\n"
        "made = to_html(troubled_report()) + to_junit(troubled_report())\n"
        "print(hashlib.sha256(made.encode()).hexdigest())"
    )

    def digest(**environment: str) -> str:
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        run = [sys.executable, "-c", program]
        made = subprocess.run(
            run, env={"PYTHONPATH": paths, **environment}, check=True, capture_output=True, timeout=60
        )
        return made.stdout.decode()

    assert digest(PYTHONHASHSEED="1", TZ="Asia/Tokyo") == digest(PYTHONHASHSEED="2", TZ="America/Lima")


def test_the_style_sheet_is_part_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "*.css" in project["tool"]["setuptools"]["package-data"]["*"]


# What the page says ----------------------------------------------------------------------------------------------


def of(*statuses: Status) -> Report:
    return made_report(
        *(Result(made_check(f"web.check{number}"), status, "seen") for number, status in enumerate(statuses))
    )


def one(root: Tag, selected: str) -> Tag:
    """The only element with this class."""
    (found,) = [tag for tag in root.all() if selected in tag.classes]
    return found


PASSED, WARNING, FAILED, SKIPPED = Status.PASSED, Status.WARNING, Status.FAILED, Status.SKIPPED


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ([], "Nothing is known about this site: no check was made."),
        ([SKIPPED], "Nothing is known about this site: no check could be made."),
        ([PASSED], "This site is in order: 1 check passed."),
        ([PASSED, PASSED], "This site is in order: all 2 checks passed."),
        (
            [PASSED, SKIPPED],
            "This site is in order as far as it could be looked at: 1 check passed, and 1 could not be made.",
        ),
        ([PASSED, WARNING], "This site works, but 1 of 2 checks asks for attention."),
        (
            [WARNING, WARNING, SKIPPED, SKIPPED],
            "This site works, but 2 of 4 checks ask for attention, and 2 could not be made.",
        ),
        ([PASSED, FAILED], "This site is not in order: 1 of 2 checks failed."),
        ([FAILED, WARNING, SKIPPED], "This site is not in order: 1 of 3 checks failed, and 1 could not be made."),
    ],
)
def test_the_verdict_is_one_sentence(statuses: list[Status], sentence: str) -> None:
    assert one(read_page(to_html(of(*statuses))), "verdict").text == sentence


def test_failures_come_first_in_what_to_do_and_the_worst_finding_first_in_each() -> None:
    page = read_page(to_html(troubled_report()))
    tasks = [tag for tag in one(page, "tasks").children if tag.name == "li"]
    assert [task.classes for task in tasks] == [["failed"], ["failed"], ["warning"]]
    wrong = [tag.text for tag in tasks[0].all() if "wrong" in tag.classes]
    assert wrong == ["TLS 1.0 was accepted", "a cipher without forward secrecy was accepted"]
    remedies = [tag.text for tag in tasks[0].all() if "remedy" in tag.classes]
    assert remedies == ["What to do: set tls.minimum to 1.2", "What to do: leave tls.ciphers out"]


def test_a_site_that_is_well_has_nothing_to_do_and_nothing_left_out() -> None:
    page = read_page(to_html(of(PASSED, PASSED)))
    titles = [tag.text for tag in page.all() if tag.name == "h2"]
    assert titles == ["Overview", "Web", "Versions", "What the words mean"]


def test_what_could_not_be_checked_is_listed_with_its_reason() -> None:
    listed = one(read_page(to_html(troubled_report())), "not-checked")
    reasons = {tag.text for tag in listed.all() if tag.name == "dt"}
    checks = [tag.text for tag in listed.all() if tag.name == "bdi"]
    assert reasons == {"it needs tls.dicom.versions, which failed"} and checks == ["dicom.echo", "dicom.store"]


@pytest.mark.parametrize(
    ("since", "left", "state", "words"),
    [
        (10, 3640, "passed", "3640 days left"),
        (10, 30, "passed", "30 days left"),
        (10, 29, "warning", "29 days left"),
        (10, 1, "warning", "1 day left"),
        (10, 0, "warning", "expires within a day"),
        (900, -12, "failed", "expired on 9 November 2026"),
        (-5, 300, "failed", "not valid before 26 November 2026"),
    ],
)
def test_a_certificate_says_how_long_it_is_still_valid(since: int, left: int, state: str, words: str) -> None:
    page = read_page(to_html(made_report(certificates=(made_certificate("server", since, left),))))
    said = one(page, "left")
    assert said.text == words and state in said.classes


def test_a_certificate_of_both_ports_is_there_once_and_the_first_to_end_comes_first() -> None:
    both = [made_certificate(use, 1, 397, fingerprint="AB:CD") for use in ("DICOM port", "web port")]
    page = read_page(to_html(made_report(certificates=(made_certificate("authority", 1, 3650), *both))))
    names = [tag.children[0].text for tag in one(page, "certificates").all() if tag.name == "h3"]
    assert names == ["DICOM port, web port", "authority"]


def test_bars_stay_within_the_timeline_also_for_certificates_of_any_age() -> None:
    ages = [(10, 3640), (36500, 36500), (1, 0), (900, -800), (-100, 200), (10, 60)]
    shown = tuple(made_certificate(f"number {number}", *age) for number, age in enumerate(ages))
    forever = made_certificate("forever", 10, 0)
    last = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    forever = dataclasses.replace(forever, info=dataclasses.replace(forever.info, not_after=last, days_left=2900000))
    for certificates in [(each,) for each in (*shown, forever)] + [(*shown, forever)]:
        page = read_page(to_html(made_report(certificates=certificates)))
        places = list(_percentages(page))
        assert places and all(0 <= left <= right <= 100.5 for left, right in places), places
        assert "21 November 2026" in one(page, "axis").text


def _percentages(page: Tag) -> Iterator[tuple[float, float]]:
    for tag in page.all():
        if tag.name == "rect" and "rx" in tag.attributes:
            left, wide = (float(tag.attributes[name].removesuffix("%")) for name in ("x", "width"))
            yield left, left + wide


@pytest.mark.parametrize(
    ("image", "kind"), [(png(3, 2), "png"), (b"\xff\xd8\xff\xe0 and so on", "jpeg"), (b"GIF89a", None), (None, None)]
)
def test_the_test_image_is_in_the_page(image: bytes | None, kind: str | None) -> None:
    page = read_page(to_html(made_report(image=image)))
    sources = [tag.attributes["src"] for tag in page.all() if tag.name == "img"]
    assert [source.partition(";")[0] for source in sources] == ([f"data:image/{kind}"] if kind else [])
    assert ("neither PNG nor JPEG" in page.text) == (image == b"GIF89a")


# JUnit XML -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(reports(ORDINARY))
def test_every_text_is_in_the_xml_as_it_was_said(made: tuple[Report, list[str]]) -> None:
    report, said = made
    root = read_junit(report)
    found = "\0".join(text for tag in root.iter() for text in (*tag.attrib.values(), tag.text or ""))
    about_certificates = {text for shown in report.certificates for text in (shown.use, *vars(shown.info).values())}
    assert [text for text in said if text not in found and text not in about_certificates] == []


@settings(max_examples=60, deadline=None)
@given(reports(ANYTHING))
def test_the_xml_keeps_to_the_schema_of_jenkins(made: tuple[Report, list[str]]) -> None:
    assert no_controls(to_junit(made[0]))
    root = read_junit(made[0])
    assert root.tag == "testsuites"
    for tag in root.iter():
        known, needed, children = JENKINS[tag.tag]
        assert needed <= set(tag.attrib) <= known, tag.attrib
        assert {child.tag for child in tag} <= children
        if "time" in tag.attrib:
            assert re.fullmatch(SUREFIRE_TIME, tag.attrib["time"])
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
        assert datetime.datetime.fromisoformat(suite.attrib["timestamp"]) == STARTED
    totals = {name: sum(int(suite.attrib[name]) for suite in root) for name in ("tests", "failures", "errors")}
    assert {name: int(root.attrib[name]) for name in totals} == totals


def test_each_status_is_what_a_build_server_takes_it_for() -> None:
    root = read_junit(troubled_report())
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    came = {name: [child.tag for child in case] for name, case in cases.items()}
    assert came["network.web"] == came["tls.web.days"] == ["system-out"]
    assert came["tls.dicom.versions"] == ["failure"] and came["dicom.echo"] == ["skipped"]
    assert cases["network.web"].attrib["classname"] == "pacs.network"
    assert "warning: 12 days are left" in cases["tls.web.days"].findtext("system-out", "")
    failure = cases["tls.dicom.versions"].find("failure")
    assert failure is not None and failure.attrib == {"message": "TLS 1.0 was accepted", "type": "failed"}
    for said in ("what to do: set tls.minimum to 1.2", "what to do: leave tls.ciphers out", "line 399 xxx"):
        assert said in str(failure.text)
    skipped = cases["dicom.echo"].find("skipped")
    assert skipped is not None and skipped.attrib["message"] == "it needs tls.dicom.versions, which failed"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://pacs.example.org:8443", "pacs.example.org"),
        ("https://[2001:db8::7]", "2001:db8::7"),
        ("https://[broken", "pacs"),
        ("", "pacs"),
    ],
)
def test_a_suite_names_the_host_that_was_validated(address: str, host: str) -> None:
    report = dataclasses.replace(of(PASSED), address=address)
    (suite,) = read_junit(report)
    assert suite.attrib["hostname"] == host


def test_odd_evidence_is_in_both_reports() -> None:
    shown = ODD.replace("\r\n", "\n")
    for char, spelt in {"\x00": "\u2400", "\x1b": "\u241b", "\x7f": "\u2421", "\r": "\u240d"}.items():
        shown = shown.replace(char, spelt)
    for char in "\x85\u202e\ud800\uffff":
        shown = shown.replace(char, char.encode("unicode_escape").decode())
    report = troubled_report()
    assert shown in {tag.text for tag in read_page(to_html(report)).all() if tag.name == "samp"}
    assert any(shown in (tag.text or "") for tag in read_junit(report).iter("failure"))
