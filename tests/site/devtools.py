"""What a test asks of Chromium beyond WebDriver's own commands: its DevTools, its console, and a print."""

from __future__ import annotations

import base64
from typing import Any

from webdriver import Browser, _call


def devtools(browser: Browser, command: str, **parameters: Any) -> Any:
    """Send a command of the Chrome DevTools Protocol and return its result."""
    return _call("POST", f"{browser._session}/goog/cdp/execute", {"cmd": command, "params": parameters})


def console(browser: Browser) -> list[str]:
    """Warnings and errors that the browser has written to its console since the last call."""
    entries = _call("POST", f"{browser._session}/se/log", {"type": "browser"})
    return [f"{entry['level']}: {entry['message']}" for entry in entries]


def printed(browser: Browser) -> bytes:
    """The page on A4 paper, as PDF (W3C WebDriver, 18.1)."""
    paper = {"page": {"width": 21.0, "height": 29.7}}
    return base64.b64decode(_call("POST", f"{browser._session}/print", paper))


def show_as(browser: Browser, width: int, height: int, scheme: str = "light", density: float = 1) -> None:
    """Look at the page on a screen of so many CSS pixels, of a person who prefers this colour scheme."""
    size = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": width < 500}
    devtools(browser, "Emulation.setDeviceMetricsOverride", **size)
    preferred = [{"name": "prefers-color-scheme", "value": scheme}]
    devtools(browser, "Emulation.setEmulatedMedia", media="", features=preferred)


def show_as_usual(browser: Browser) -> None:
    devtools(browser, "Emulation.clearDeviceMetricsOverride")
    devtools(browser, "Emulation.setEmulatedMedia", media="", features=[])


def press(browser: Browser, key: str) -> None:
    """Press a key as a person does: `Tab` or `Enter`."""
    code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
    common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    devtools(browser, "Input.dispatchKeyEvent", type="keyDown", text=text, **common)
    devtools(browser, "Input.dispatchKeyEvent", type="keyUp", **common)
