"""The plainest LTI 1.3 tool, to test a platform (or the glue around one) without the product."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, jsonify, redirect, request
from jwt.algorithms import RSAAlgorithm
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

AGS = "https://purl.imsglobal.org/spec/lti-ags/scope"
ALL_SCOPES = (
    f"{AGS}/lineitem {AGS}/score {AGS}/result.readonly "
    "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
)
LINE_ITEM = "application/vnd.ims.lis.v2.lineitem+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
SECONDS = 20

# As a platform's /state shows it: issuer, client_id, auth_url, token_url, keyset_url.
Registration = Mapping[str, str]


@dataclass
class ProbeTool:
    """Verifies what it is sent, shows the claims as its page, and makes single service calls."""

    url: str = ""
    registrations: list[Registration] = field(default_factory=list)
    nonces: dict[str, str] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def login(self) -> Response:
        """Answer a login with the authentication request (Security Framework 5.1.1.2)."""
        ask = request.values
        platform = self._registration(ask["iss"], ask["client_id"])
        state, nonce = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.nonces[state] = nonce
        query = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": ask["client_id"],
            "redirect_uri": f"{self.url}/lti/launch",
            "login_hint": ask["login_hint"],
            "lti_message_hint": ask.get("lti_message_hint", ""),
            "state": state,
            "nonce": nonce,
        }
        return redirect(f"{platform['auth_url']}?{urlencode(query)}")

    def launch(self) -> Response:
        """The verified claims as JSON; any flaw of signature, audience, issuer, time or nonce is a 500."""
        token = request.form["id_token"]
        unverified = jwt.decode(token, options={"verify_signature": False})
        platform = self._registration(unverified["iss"], unverified["aud"])
        keys = requests.get(platform["keyset_url"], timeout=SECONDS).json()
        key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(
            token, key.key, ["RS256"], audience=platform["client_id"], issuer=platform["issuer"]
        )
        if claims["nonce"] != self.nonces.pop(request.form["state"]):
            raise ValueError("foreign nonce")
        return jsonify(claims)

    def keyset(self) -> Response:
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return jsonify(keys=[{**public, "kid": "probe", "alg": "RS256", "use": "sig"}])

    def token(self, platform: Registration, scope: str = ALL_SCOPES) -> str:
        """An access token by the client-credentials grant with a signed assertion (4.1)."""
        now, client = int(time.time()), platform["client_id"]
        claims = {"iss": client, "sub": client, "aud": platform["token_url"], "iat": now, "exp": now + 60}
        assertion = jwt.encode(
            {**claims, "jti": secrets.token_hex(16)}, self.key, "RS256", headers={"kid": "probe"}
        )
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": scope,
        }
        answer = requests.post(platform["token_url"], data=form, timeout=SECONDS)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def get(self, url: str, token: str) -> requests.Response:
        return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS)

    def post(self, url: str, token: str, media_type: str, body: Mapping[str, Any]) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
        return requests.post(url, json.dumps(body), headers=headers, timeout=SECONDS)

    def _registration(self, issuer: str, client_id: str) -> Registration:
        return next(
            one for one in self.registrations if (one["issuer"], one["client_id"]) == (issuer, client_id)
        )


@contextlib.contextmanager
def running_probe() -> Iterator[ProbeTool]:
    """Serve a probe at /lti/login, /lti/launch and /lti/jwks.json of a free port until the block ends."""
    tool = ProbeTool()
    app = Flask(__name__)
    app.add_url_rule("/lti/login", view_func=tool.login, methods=["GET", "POST"])
    app.add_url_rule("/lti/launch", view_func=tool.launch, methods=["POST"])
    app.add_url_rule("/lti/jwks.json", view_func=tool.keyset)
    with serving_here(app) as tool.url:
        yield tool


@contextlib.contextmanager
def serving_here(app: Flask) -> Iterator[str]:
    """Serve `app` by threads of this process on a free port; the value is its origin."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
