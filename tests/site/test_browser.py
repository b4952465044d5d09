"""The Orthanc web page in a real Chromium, through the proxy: log in, find a study, see its image."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import TestSite, eventually
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from webdriver import Browser, browser

pytestmark = pytest.mark.browser

# Lists of the page have headings between what can be opened.
_FIRST = "li:not([data-role=list-divider]) a"
# The browser itself decodes an image, so that what is compared is what a person sees.
_GREY_VALUES = """
return new Promise((resolve, reject) => {
  const image = new Image();
  image.onerror = () => reject(new Error('not an image: ' + arguments[0].slice(0, 80)));
  image.onload = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    const drawing = canvas.getContext('2d');
    drawing.drawImage(image, 0, 0);
    const values = drawing.getImageData(0, 0, image.width, image.height).data;
    resolve([image.height, image.width, Array.from(values).filter((_, index) => index % 4 === 0)]);
  };
  image.src = arguments[0];
});
"""


@pytest.fixture
def person(site: TestSite) -> Iterator[Browser]:
    """The browser of a person who trusts the site's authority."""
    with browser(site.ca) as opened:
        yield opened


def slice_of_a_new_patient(folder: Path) -> tuple[Path, str, np.ndarray]:
    """A CT slice that the site has never seen: its file, the patient's identifier and its pixels."""
    data = dcmread(str(get_testdata_file("CT_small.dcm")))
    data.PatientID = generate_uid(prefix=None)[5:20]
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.save_as(folder / "slice.dcm")
    return folder / "slice.dcm", str(data.PatientID), data.pixel_array


def grey_values(opened: Browser, url: str) -> np.ndarray:
    height, width, values = opened.js(_GREY_VALUES, url)
    return np.array(values).reshape(height, width)


def likeness(shown: np.ndarray, sent: np.ndarray) -> float:
    """Correlation of two images of the same size: 1 when one is the other, brighter or darker; 0 when blank."""
    return 0.0 if shown.std() == 0 else float(np.corrcoef(shown.ravel(), sent.ravel())[0, 1])


def test_a_person_logs_in_finds_the_study_just_stored_and_sees_its_image(
    site: TestSite, person: Browser, tmp_path: Path
) -> None:
    file, patient, pixels = slice_of_a_new_patient(tmp_path)
    stored = site.store(file)
    assert stored.status == 0, stored.all
    address = f"localhost:{site.web_port}"

    person.go(f"https://{address}/")
    assert person.js("return performance.getEntriesByType('navigation')[0].responseStatus") == 401
    assert person.find("#lookup-form") is None

    # What Chromium does with an answer to its dialog, which a headless one cannot show.
    person.go(f"https://admin:{site.password()}@{address}/system")
    person.go(f"https://{address}/")
    assert person.js("return [location.pathname, isSecureContext]") == ["/app/explorer.html", True]

    person.type("#lookup-patient-id", patient)
    person.click("#lookup-submit")
    assert patient in person.text("#lookup-result")
    person.click(f"#lookup-result {_FIRST}")
    person.click(f"#list-series {_FIRST}")
    person.click(f"#list-instances {_FIRST}")
    person.click("#instance-preview")
    person.wait("#lbImage")

    preview = "return new URL(document.querySelector('#lbImage').style.backgroundImage.slice(5, -2), location).href"
    assert likeness(grey_values(person, person.js(preview)), pixels) > 0.99

    def seen() -> float:
        shot = "data:image/png;base64," + base64.b64encode(person.screenshot("#lbImage")).decode()
        shown = grey_values(person, shot)
        # The image stands in the middle of its frame.
        top, left = ((have - want) // 2 for have, want in zip(shown.shape, pixels.shape, strict=True))
        return likeness(shown[top : top + pixels.shape[0], left : left + pixels.shape[1]], pixels)

    eventually(lambda: seen() > 0.99, 20, "the image to have faded in")


def test_a_browser_that_does_not_know_the_authority_warns(site: TestSite) -> None:
    with browser(None) as stranger:
        stranger.go(f"https://localhost:{site.web_port}/")
        assert "ERR_CERT_AUTHORITY_INVALID" in stranger.js("return document.body.innerHTML")
