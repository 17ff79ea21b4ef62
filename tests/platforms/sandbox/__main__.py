"""`python -m tests.platforms.sandbox --port 9000 --tool http://127.0.0.1:8000 --data FILE`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from werkzeug.serving import WSGIRequestHandler, make_server

from .app import create_app
from .platform import Addresses
from .store import Store


class QuietHandler(WSGIRequestHandler):
    """The page `/log` shows what happened; the usual request line would print states and hints."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def main() -> None:
    options = _options()
    options.data.parent.mkdir(parents=True, exist_ok=True)
    addresses = Addresses(issuer=f"http://localhost:{options.port}", tool=options.tool.rstrip("/"))
    app = create_app(addresses, Store(options.data))
    server = make_server(options.host, options.port, app, threaded=True, request_handler=QuietHandler)
    signal.signal(signal.SIGTERM, _leave)
    print(f"Sandbox LMS: {addresses.issuer}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.platforms.sandbox")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tool", default="http://127.0.0.1:8000")
    parser.add_argument("--data", type=Path, default=Path("instance/sandbox.sqlite3"))
    return parser.parse_args()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
