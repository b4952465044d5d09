"""The files of `orthweb validate` in the hands of those who get them: the page in a real Chromium and on paper."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from devtools import console, devtools, press, printed, show_as, show_as_usual
from harness import TestSite, eventually
from made_reports import ODD, troubled_report
from pdf_text import pdf_text
from webdriver import Browser, browser

from orthweb.validation.reports import to_html
from orthweb.validation.reports.text import visible

# Every text that can be seen, with its colour and that of what is behind it: WCAG 2.2, 1.4.3.
_CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const parts = colour => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return Array.from(canvas.getImageData(0, 0, 1, 1).data);
};
const light = colour => {
  const [r, g, b] = parts(colour).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (parts(colour)[3] === 255) return colour;
  }
  return 'white';
};
document.querySelectorAll('details').forEach(each => each.open = true);
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const [text, ground] = [element.closest('svg') ? style.fill : style.color, behind(element)];
  const [high, low] = [light(text), light(ground)].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) found.push([walker.currentNode.data.slice(0, 40), text, ground, ratio]);
}
document.querySelectorAll('details').forEach(each => each.open = false);
return found;
"""
# Spaces at the end of a line of evidence hang over its edge, where nobody sees them.
_TOO_WIDE = """
document.querySelectorAll('details').forEach(each => each.open = true);
const wide = Array.from(document.querySelectorAll('body *'))
  .filter(each => !each.closest('svg, samp, .unseen, .skip') && each.getBoundingClientRect().right > innerWidth + 0.5)
  .map(each => each.outerHTML.slice(0, 120));
return [document.scrollingElement.scrollWidth, innerWidth, wide];
"""


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def validated(site: TestSite, files: Path) -> dict[str, Any]:
    """What a validation of a real site says as JSON; the other files are beside it."""
    done = site.orthweb("validate", "--json", "--html", files / "real.html", "--junit", files / "real.xml")
    assert done.status in (0, 1), done.all
    return dict(json.loads(done.out))


@pytest.fixture(scope="module")
def reader() -> Iterator[Browser]:
    """The browser of somebody who got a page by mail."""
    with browser(None) as opened:
        yield opened


@pytest.fixture(params=["real", "troubled"])
def page(request: pytest.FixtureRequest, reader: Browser, files: Path) -> Iterator[Browser]:
    """The page of a real site, and one of a site with something of everything."""
    if request.param == "real":
        request.getfixturevalue("validated")
    else:
        (files / "troubled.html").write_text(to_html(troubled_report()))
    console(reader)
    reader.go((files / f"{request.param}.html").as_uri())
    yield reader
    show_as_usual(reader)


@pytest.fixture
def troubled(reader: Browser, files: Path) -> Browser:
    (files / "troubled.html").write_text(to_html(troubled_report()))
    reader.go((files / "troubled.html").as_uri())
    return reader


@pytest.mark.browser
def test_the_page_opens_from_disk_without_a_request_or_a_complaint(page: Browser) -> None:
    assert page.js("return performance.getEntriesByType('resource').map(each => each.name)") == []
    assert console(page) == []
    assert page.js("return document.compatMode") == "CSS1Compat"
    # The style sheet was let in by the page's own policy, and nothing else would be.
    assert page.js("return getComputedStyle(document.body).maxWidth") != "none"
    page.js("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))")
    page.js("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    assert page.js("return window.ran === undefined")
    complaints = eventually(lambda: console(page), 20, "the policy to complain")
    assert all("Content Security Policy" in line for line in complaints), complaints


@pytest.mark.browser
def test_the_page_shows_every_check_of_the_report(validated: dict[str, Any], reader: Browser, files: Path) -> None:
    reader.go((files / "real.html").as_uri())
    shown = reader.js(
        "return Array.from(document.querySelectorAll('.check')).map(each => ['.about code', '.status', 'h3']"
        ".map(part => each.querySelector(part).textContent))"
    )
    assert shown == [[each["id"], each["status"].capitalize(), each["proves"]] for each in validated["checks"]]
    said = reader.js("return document.querySelector('header').textContent")
    for word in (validated["site"], validated["address"], validated["environment"], validated["orthweb"]):
        assert word in said
    versions = reader.js("return document.querySelector('[aria-labelledby=versions]').textContent")
    assert all(part in versions and version in versions for part, version in validated["versions"].items())


@pytest.mark.browser
def test_the_test_image_is_shown(validated: dict[str, Any], reader: Browser, files: Path) -> None:
    for name, least in (("real", 64), ("troubled", 48)):
        (files / "troubled.html").write_text(to_html(troubled_report()))
        reader.go((files / f"{name}.html").as_uri())
        size = eventually(lambda: reader.js("return (i => i && i.complete && i.naturalWidth)(document.images[0])"))
        assert size >= least


@pytest.mark.browser
def test_certificates_are_on_a_timeline_that_marks_the_day(
    validated: dict[str, Any], reader: Browser, files: Path
) -> None:
    reader.go((files / "real.html").as_uri())
    shown = reader.js(
        "return Array.from(document.querySelectorAll('.certificates > li')).map(each => ["
        "each.querySelector('h3 bdi').textContent, each.querySelector('.facts div:last-child dd').textContent,"
        "each.querySelector('rect').getBoundingClientRect().width > 1])"
    )
    told: dict[str, list[str]] = {}
    for each in validated["certificates"]:
        told.setdefault(each["fingerprint_sha256"], []).append(each["use"])
    assert sorted(shown) == sorted([", ".join(uses), fingerprint, True] for fingerprint, uses in told.items())
    assert shown and "days left" in reader.text(".certificates .left")


@pytest.mark.browser
def test_evidence_unfolds_by_a_click(page: Browser) -> None:
    assert page.find("details pre") is None
    page.click("details summary")
    assert page.find("details[open] pre")
    page.click("details[open] summary")
    assert page.find("details pre") is None


@pytest.mark.browser
def test_evidence_unfolds_by_the_keyboard(page: Browser) -> None:
    def at_evidence() -> bool:
        press(page, "Tab")
        return bool(page.js("return document.activeElement.tagName === 'SUMMARY'"))

    eventually(at_evidence, 30, "the keyboard to reach evidence")
    assert page.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(page, "Enter")
    assert page.js("return document.activeElement.parentElement.open")
    assert page.find("details[open] pre")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read_in_light_and_dark(page: Browser, scheme: str) -> None:
    show_as(page, 1000, 900, scheme)
    ground = page.js("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 64) if scheme == "dark" else (min(ground) > 200)
    assert page.js(_CONTRASTS) == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 700, 1600])
def test_nothing_is_wider_than_the_screen(page: Browser, width: int) -> None:
    show_as(page, width, 640)
    scrolls, inner, wide = page.js(_TOO_WIDE)
    assert wide == []
    assert scrolls <= inner == width


@pytest.mark.browser
def test_paper_has_all_evidence_in_black_on_white(page: Browser) -> None:
    show_as(page, 1000, 900, "dark")
    told = "return Array.from(document.querySelectorAll('details samp')).map(each => each.textContent)"
    evidence = page.js(told)
    assert page.js("return document.querySelectorAll('details[open]').length") == 0
    text = pdf_text(printed(page))
    # By words, because a line may go on on the next sheet. Two letters with one glyph for both, and text from right
    # to left, come in another form.
    words = {word[:30] for each in evidence for word in each.split() if word.isascii() and "f" not in word}
    assert words and {word for word in words if word not in text} == set()
    show_as_usual(page)
    devtools(page, "Emulation.setEmulatedMedia", media="print")
    colours = page.js("return ['color', 'backgroundColor'].map(each => getComputedStyle(document.body)[each])")
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.js(_CONTRASTS) == []


@pytest.mark.browser
def test_a_list_of_what_to_do_leads_to_each_check(troubled: Browser) -> None:
    troubled.click(".tasks .failed a")
    place = eventually(lambda: troubled.js("return document.querySelector('.check:target')?.className"))
    assert place == "check failed"
    top = "return document.querySelector('.check:target').getBoundingClientRect().top"
    eventually(lambda: 0 <= troubled.js(top) < 600, 20, "the check to be in the window")


@pytest.mark.browser
def test_odd_evidence_is_shown_to_the_letter(troubled: Browser) -> None:
    assert troubled.js(
        "return Array.from(document.querySelectorAll('samp')).some(each => each.textContent === arguments[0])",
        visible(ODD),
    )
    assert troubled.js("return document.scripts.length") == 0


@pytest.mark.browser
def test_a_screen_reader_finds_its_way(page: Browser) -> None:
    tree = devtools(page, "Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for each in tree:
        if not each["ignored"]:
            roles.setdefault(each["role"]["value"], []).append(each.get("name", {}).get("value", ""))
    for landmark in ("banner", "main", "contentinfo"):
        assert len(roles[landmark]) == 1, roles.keys()
    checks = page.js("return document.querySelectorAll('.check').length")
    assert len(roles["article"]) == checks
    folded = roles["DisclosureTriangle"]
    assert len(folded) == len(set(folded)) and all(name.startswith("Evidence of ") for name in folded)
    assert {"Failed", "Warnings", "Passed", "Skipped"} <= set(roles["columnheader"])
    assert "Overview" in roles["heading"] and len(roles["rowheader"]) > 2
    assert all(roles.get("image", ["named"])), roles.get("image")


def test_a_build_server_reads_the_same_as_a_script(validated: dict[str, Any], files: Path) -> None:
    root = ElementTree.parse(files / "real.xml").getroot()  # noqa: S314 - the test's own
    kinds = {"failure": "failed", "skipped": "skipped", "system-out": ""}
    read = {case.attrib["name"]: kinds[case[0].tag] for case in root.iter("testcase")}
    told = {each["id"]: each["status"] for each in validated["checks"]}
    assert read == {name: status if status in ("failed", "skipped") else "" for name, status in told.items()}
    assert {suite.attrib["name"] for suite in root} == {each["subject"] for each in validated["checks"]}
    properties = {each.attrib["name"]: each.attrib["value"] for each in root.iter("property")}
    assert properties["site"] == validated["site"] and properties["version.Orthanc"]
