"""A real browser without a package: Chromium through its driver's own HTTP interface (W3C WebDriver)."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager

DRIVER = shutil.which("chromedriver")
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
MISSING = not (DRIVER and CHROMIUM)
_ALONE = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Browser:
    def __init__(self, address):
        self.address = address

    def call(self, path, method="POST", **body):
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path):
        self.call("/url", url=path.resolve().as_uri())

    def evaluate(self, script, *args):
        return self.call("/execute/sync", script=script, args=list(args))

    def devtools(self, command, **parameters):
        return self.call("/goog/cdp/execute", cmd=command, params=parameters)

    def log(self, kind):
        return self.call("/se/log", type=kind)

    def look(self, *, dark=False, width=1100, media=""):
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=features)
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )

    def screenshot(self, path):
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.devtools(
            "Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "x": 0, "y": 0, "scale": 1}
        )
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def open_browser(profile):
    """Lend a headless browser that logs its console and every request."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    options = {
        "binary": CHROMIUM,
        "args": [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            *_ALONE,
            f"--user-data-dir={profile}",
        ],
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
    browser = Browser(f"http://127.0.0.1:{port}/session")
    try:
        for _ in range(100):
            try:
                session = browser.call("", capabilities={"alwaysMatch": wanted})
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        browser.address += f"/{session['sessionId']}"
        yield browser
        browser.call("", method="DELETE")
    finally:
        process.terminate()
        process.wait(10)
