"""Put the sandbox LMS together."""

from __future__ import annotations

import time

from flask import Flask, Response, g, request

from . import control, launches, pages, services, tools_pages, visitor
from .lms import EXTENSION, Exchange, Lms
from .platform import Addresses, Keyring
from .store import Store, now

# Exchanges of the protocol, as opposed to the pages of the school.
LOGGED = ("/lti/", "/launch/", "/.well-known/")


def create_app(addresses: Addresses, store: Store) -> Flask:
    lms = Lms(addresses, store, Keyring(store))
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions[EXTENSION] = lms
    for part in (launches, services, pages, tools_pages, control):
        app.register_blueprint(part.blueprint)
    visitor.install(app)
    _install_log(app, lms)
    return app


def _install_log(app: Flask, lms: Lms) -> None:
    @app.before_request
    def start() -> None:
        g.started = time.monotonic()

    @app.after_request
    def write(response: Response) -> Response:
        if request.path.startswith(LOGGED):
            milliseconds = round((time.monotonic() - g.started) * 1000)
            lms.log.appendleft(
                Exchange(now(), request.method, request.path, response.status_code, milliseconds)
            )
        return response
