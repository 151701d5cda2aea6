"""A headless Chromium for tests, driven through chromedriver's own protocol (W3C WebDriver)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY = "return document.documentElement.dataset.ready"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Path of a Chromium, if it and its driver are installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found if shutil.which("chromedriver") else None


class Browser:
    """One session. `script` runs JavaScript in the page, `cdp` speaks to the browser itself."""

    def __init__(self, port: int, binary: str) -> None:
        self._root = f"http://127.0.0.1:{port}"
        options = {
            "binary": binary,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/session/{answer['sessionId']}"
        self.cdp("Performance.enable", timeDomain="threadTicks")

    def open(
        self, page: Path, *, width: int = 1200, dark: bool = False, ready: str = READY
    ) -> None:
        """Show a page, and wait until the script `ready` says that its figures are drawn."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])
        self.messages()
        self.requests()
        self._call("POST", "/url", {"url": page.resolve().as_uri()})
        self.wait_for(ready)

    def script(self, code: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": code, "args": []})

    def wait_for(self, code: str, seconds: float = 60) -> Any:
        """Run a script until it gives something; fail after `seconds`."""
        end = time.monotonic() + seconds
        while not (value := self.script(code)):
            assert time.monotonic() < end, f"the page never came to: {code}"
            time.sleep(0.05)
        return value

    def cdp(self, command: str, **params: Any) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def messages(self) -> list[str]:
        """Warnings and errors on the console since the last call."""
        log = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] in ("WARNING", "SEVERE")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        log = self._call("POST", "/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in log]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def cpu_seconds(self) -> float:
        """Seconds of processor time that the page has taken, its scripts, styles and drawing."""
        found = self.cdp("Performance.getMetrics")["metrics"]
        return float(next(entry["value"] for entry in found if entry["name"] == "ThreadTime"))

    def close(self) -> None:
        self._call("DELETE", "")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self._root + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.load(answer)["value"]


@contextmanager
def run_browser(binary: str) -> Iterator[Browser]:
    """Start chromedriver and a session; end both."""
    command = ["chromedriver", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            port = next(
                int(found[1])
                for line in driver.stdout
                if (found := re.search(r"started successfully on port (\d+)", line))
            )
            browser = Browser(port, binary)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()
