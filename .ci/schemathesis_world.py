"""Waits for a command API, a projector and a query API that are starting, creates what the documents' examples are about,
and prints where the APIs are.

Usage: schemathesis_world.py DIRECTORY BATCH, where DIRECTORY holds `command-api.log` and `query-api.log` (JSON lines) and
`data`.
"""

import json
import pathlib
import shlex
import sys
import time
import urllib.error
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


def wait_for_index(url: str, position: str) -> None:
    """Until everything up to the position is found; without an index searches are 503."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/api/v1/search?minPosition={position}") as answer:
                answer.read()
            return
        except urllib.error.HTTPError as refusal:
            if refusal.code not in (503, 504) or time.monotonic() > deadline:
                sys.exit(f"the world is not found: {refusal.code} {refusal.read()}")
        time.sleep(0.05)


def main() -> None:
    directory, batch = map(pathlib.Path, sys.argv[1:])
    command_url = address(directory / "command-api.log")
    query_url = address(directory / "query-api.log")
    token = directory / "data" / "keys" / "development.token"
    token = token.read_text().strip() if token.exists() else ""
    request = urllib.request.Request(
        f"{command_url}/api/v1/batch",
        data=batch.read_bytes(),
        headers={"content-type": "application/json", "authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request) as answer:
        results = json.load(answer)["results"]
        position = answer.headers["sunday-position"]
    refused = [result for result in results if result["status"] != "applied"]
    if refused:
        sys.exit(f"the world was not created: {refused}")
    wait_for_index(query_url, position)
    urls = f"SUNDAY_COMMAND_URL={shlex.quote(command_url)}\nSUNDAY_QUERY_URL={shlex.quote(query_url)}"
    print(f"{urls}\nSUNDAY_TOKEN={shlex.quote(token or 'none')}")


if __name__ == "__main__":
    main()
