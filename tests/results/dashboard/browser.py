"""A page in a browser, and what a person does on it."""

from __future__ import annotations

import time

ROWS = "#table tbody tr[data-key]"
SELECTED = f"{ROWS}[aria-selected=true]"


class Page:
    """What a person does on the page."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)
        self.drawn = int(self.wait("document.documentElement.dataset.drawn"))
        self.opened = int(self.run("return document.documentElement.dataset.opened"))

    def run(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def wait(self, condition, seconds=20.0):
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            assert time.monotonic() < end, f"{condition} is not so after {seconds} s"
            time.sleep(0.05)
        return value

    def click(self, selector, place=0, keys=""):
        self.run(
            "const found = document.querySelectorAll(arguments[0])[arguments[1]];"
            "found.dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey: arguments[2] === 'shift'}))",
            selector,
            place,
            keys,
        )

    def choose(self, selector, value):
        self.run(
            "const menu = document.querySelector(arguments[0]); menu.value = arguments[1];"
            "menu.dispatchEvent(new Event('change', {bubbles: true}))",
            selector,
            value,
        )

    def type(self, selector, value):
        self.run(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            selector,
            value,
        )

    def texts(self, selector):
        code = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText ?? one.textContent)"
        return self.run(code, selector)

    def column(self, head):
        heads = [text.rstrip(" ▴▾") for text in self.texts("#table thead th")]
        return self.texts(f"{ROWS} td:nth-child({heads.index(head) + 1})")

    def points(self, trace=None):
        """Sizes and values of the points that are drawn; of the last trace, those selected."""
        code = "return document.getElementById('scatter').data.map((one) => [one.mode, [...one.x], [...one.y]])"
        traces = self.run(code)
        drawn = [
            [point for point in zip(x, y, strict=True) if point[0] is not None]  # null: a gap between lines
            for mode, x, y in traces
            if "markers" in mode
        ]
        return drawn[trace] if trace is not None else [point for points in drawn[:-1] for point in points]

    def errors(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]
