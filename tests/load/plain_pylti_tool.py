"""The plainest PyLTI1p3 tool: the library's README typed in, and nothing else.

Stock classes, Flask's own session and cookies, the key set fetched as the library does by default (a GET per
launch). After the launch it redirects to the content, which reads the launch back by its id. It stores nothing
on the server. The configuration is read once per process, which is kinder to it than the README.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, redirect, url_for
from markupsafe import escape
from pylti1p3.contrib.flask import FlaskMessageLaunch, FlaskOIDCLogin, FlaskRequest
from pylti1p3.tool_config import ToolConfDict

from tests.load.messages import CLIENT_ID, DEPLOYMENT_ID

PLATFORM = os.environ.get("LOAD_PLATFORM", "")
KEY_SET = os.environ.get("LOAD_KEY_SET", "")

app = Flask(__name__)
app.secret_key = "only-for-load-tests"
tool_conf = ToolConfDict(
    {
        PLATFORM: [
            {
                "default": True,
                "client_id": CLIENT_ID,
                "auth_login_url": f"{PLATFORM}/auth",
                "auth_token_url": f"{PLATFORM}/token",
                "key_set_url": KEY_SET,
                "deployment_ids": [DEPLOYMENT_ID],
            }
        ]
    }
)


@app.route("/lti/login", methods=["GET", "POST"])
def login() -> Any:
    request = FlaskRequest()
    return FlaskOIDCLogin(request, tool_conf).redirect(request.get_param("target_link_uri"))


@app.post("/lti/launch")
def launch() -> Any:
    message = FlaskMessageLaunch(FlaskRequest(), tool_conf)
    message.get_launch_data()
    return redirect(url_for("page", launch_id=message.get_launch_id()), 303)


@app.get("/page/<launch_id>")
def page(launch_id: str) -> str:
    message = FlaskMessageLaunch.from_cache(launch_id, FlaskRequest(), tool_conf)
    return f"<!doctype html><title>Course</title><p>Welcome, {escape(message.get_launch_data()['name'])}."
