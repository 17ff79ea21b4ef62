"""Three plain Flask pages: what three requests cost when nothing is checked, kept or looked up."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlencode

from flask import Flask, redirect, request

app = Flask(__name__)
AUTH_URL = os.environ.get("LOAD_PLATFORM", "") + "/auth"


@app.post("/lti/login")
def login() -> Any:
    target = request.form["target_link_uri"]
    return redirect(f"{AUTH_URL}?{urlencode({'state': 's', 'nonce': 'n', 'redirect_uri': target})}")


@app.post("/lti/launch")
def launch() -> Any:
    assert request.form["id_token"]
    return redirect("/page", 303)


@app.get("/page")
def page() -> str:
    return "<!doctype html><title>Course</title><p>Welcome."
