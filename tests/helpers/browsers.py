"""A browser, and the screens that it can have."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium of the system; it has no network to begin with."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1400,1000"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as made:
        yield made


@contextmanager
def screen(browser, width, scheme):
    """A screen of so many pixels across, in the colour scheme light or dark; afterwards the usual one."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield browser
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def fits(browser):
    """Whether nothing but what scrolls by itself is wider than the screen, and text stands out from its background."""
    luminance = (
        "const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;"
        "const light = (name) => {"
        "const [r, g, b] = getComputedStyle(document.body)[name].match(/[0-9.]+/g).map(Number);"
        "return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };"
        "const [one, other] = [light('color'), light('backgroundColor')].sort((a, b) => b - a);"
        "const contrast = (one + 0.05) / (other + 0.05);"
    )
    return browser.execute_script(
        f"{luminance} return document.documentElement.scrollWidth <= innerWidth && contrast >= 7"
    )
