"""The HTTP API from Python, with nothing but the standard library.

Starts a job, follows its events, saves the picture:

    imageforge serve
    python3 http_client.py "a red star" star.png [http://127.0.0.1:8765]
"""

import base64
import json
import sys
import urllib.error
import urllib.request


def request(url, body=None):
    """Opens a URL; a body is sent as JSON."""
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(
        urllib.request.Request(url, data, {"Content-Type": "application/json"})
    )


def read_events(stream):
    """Yields (name, data) of server-sent events."""
    name = ""
    for line in stream:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def main(prompt, path="star.png", server="http://127.0.0.1:8765"):
    asked = {"prompt": prompt, "seed": 42, "return_mode": "base64"}
    with request(f"{server}/jobs", asked) as answer:
        job = json.load(answer)
    with request(server + job["events_url"]) as events:
        for name, data in read_events(events):
            if name == "step":
                print(f"step {data['step']} of {data['steps']}", file=sys.stderr)
            elif name == "failed":
                sys.exit(data["message"])
            elif name == "done":
                with open(path, "wb") as file:
                    file.write(base64.b64decode(data["image_base64"]))
                print(path)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except urllib.error.HTTPError as error:
        # Errors are JSON as well: {"error": {"code": …, "message": …, "hint": …}, …}
        told = json.load(error)["error"]
        sys.exit(f"{told['code']}: {told['message']} {told.get('hint', '')}".rstrip())
