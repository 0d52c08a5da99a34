"""Waits for a command API that is starting, creates what the document's examples are about, and prints where it is.

Usage: schemathesis_world.py DIRECTORY BATCH, where DIRECTORY holds the server's `log` (JSON lines) and `data`.
"""

import json
import pathlib
import shlex
import sys
import time
import urllib.request

PATIENCE_S = 60


def address(log: pathlib.Path) -> str:
    """The URL that the server logs when it is ready."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            try:
                fields = json.loads(line).get("fields", {})
            except ValueError:
                continue
            if "url" in fields:
                return fields["url"]
        time.sleep(0.05)
    sys.exit(f"the server did not start:\n{log.read_text()}")


def main() -> None:
    directory, batch = map(pathlib.Path, sys.argv[1:])
    url = address(directory / "log")
    token = directory / "data" / "keys" / "development.token"
    token = token.read_text().strip() if token.exists() else ""
    request = urllib.request.Request(
        f"{url}/api/v1/batch",
        data=batch.read_bytes(),
        headers={"content-type": "application/json", "authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request) as answer:
        results = json.load(answer)["results"]
    refused = [result for result in results if result["status"] != "applied"]
    if refused:
        sys.exit(f"the world was not created: {refused}")
    print(f"SUNDAY_URL={shlex.quote(url)}\nSUNDAY_TOKEN={shlex.quote(token or 'none')}")


if __name__ == "__main__":
    main()
