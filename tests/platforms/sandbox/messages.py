"""Glue to `lti1p3platform`: how a launch starts and what it says.

The library checks the authentication request and signs the message. Added here is what it leaves to its
host: single-use hints, the exact redirect address, claims that it has no setter for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import redirect, render_template
from flask.typing import ResponseReturnValue
from lti1p3platform.message_launch import LTIAdvantageMessageLaunchAbstract
from lti1p3platform.oidc_login import OIDCLoginAbstract
from lti1p3platform.request import Request

from . import school
from .platform import Addresses, SandboxPlatform
from .store import Store
from .tools import CLAIM, ToolEntry


class SandboxLogin(OIDCLoginAbstract):
    """A login that the platform starts, by a form that posts itself or by a plain redirect."""

    by_get = False
    storage_target: str | None = None

    def set_lti_message_hint(self, **kwargs: Any) -> None:
        self._lti_message_hint = kwargs["hint"]

    def get_redirect(self, url: str) -> ResponseReturnValue:
        if self.storage_target:
            url += "&" + urlencode({"lti_storage_target": self.storage_target})
        if self.by_get:
            return redirect(url)
        return render_template(
            "post.html", action=url.partition("?")[0], fields=dict(parse_qsl(urlsplit(url).query))
        )


class LoginRefused(Exception):
    """An authentication request that gets no id_token. `code` is OAuth's word for it; `to_tool` says that
    the redirect address was good, so that the tool is told; else the visitor sees a page."""

    def __init__(self, code: str, description: str, *, to_tool: bool) -> None:
        super().__init__(description)
        self.code = code
        self.to_tool = to_tool


class SandboxLaunch(LTIAdvantageMessageLaunchAbstract):
    """The answer to the tool's authentication request."""

    def __init__(
        self,
        request: Request,
        platform: SandboxPlatform,
        addresses: Addresses,
        store: Store,
        tool: ToolEntry,
    ) -> None:
        super().__init__(request, platform)
        self._tool = tool
        self._addresses = addresses
        self._store = store
        self.storage_target: str | None = None

    def prepare_launch(self, preflight_response: dict[str, Any]) -> None:
        if preflight_response["redirect_uri"] not in self._tool.redirects:
            raise LoginRefused("invalid_request", "redirect_uri is not registered", to_tool=False)
        wish = self._store.take_hint(preflight_response.get("lti_message_hint", ""))
        if wish is None:
            raise LoginRefused("launch_no_longer_valid", "lti_message_hint was used or is old", to_tool=False)
        _check_request(preflight_response, wish["user"])
        self._describe(wish)

    def _describe(self, wish: Mapping[str, Any]) -> None:
        person = school.PEOPLE[wish["user"]]
        link = self._store.link(wish["link"]) if wish["link"] else None
        course = school.COURSES[wish["course"]]
        self._add_person(person, course)
        self.set_launch_context_claim(
            course.id,
            ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseSection"],
            course.title,
            course.label,
        )
        if link:
            self.set_resource_link_claim(link.id, link.about, link.title)
        self.set_custom_parameters_claim(self._custom(link))
        self._add_presentation(wish)
        item = wish.get("line_item") or (
            link.id if link and self._store.line_item(course.id, link.id) else None
        )
        self.set_ags(
            self._addresses.line_items(course.id),
            self._addresses.line_item(course.id, item) if item else None,
        )
        self.set_nrps(self._addresses.memberships(course.id))
        if wish.get("content"):
            self._ask_for_content(course)
        if wish.get("review"):
            self.set_extra_claims(
                {
                    CLAIM + "message_type": "LtiSubmissionReviewRequest",
                    CLAIM + "for_user": {"user_id": wish["review"]},
                }
            )

    def _custom(self, link: school.Link | None) -> dict[str, str]:
        """The tool's own parameters before the link's. An unknown variable stays what it is, as in Moodle."""
        known = {"$Context.id.history": "", "$User.id": ""}
        custom = {name: known.get(value, value) for name, value in self._tool.custom.items()}
        if link and link.slug:
            custom["gongyu_course"] = link.slug
        return custom | dict(link.custom if link else ())

    def _ask_for_content(self, course: school.Course) -> None:
        """Ask the tool for links to add to the course. `data` works once."""
        data = self._store.add_hint({"course": course.id, "client_id": self._tool.client_id})
        self.set_dl(self._addresses.content(course.id), course.title, "", {"ltiResourceLink"}, data)  # type: ignore[arg-type]
        settings = next(iter(self._deep_linking_launch_data.values()))
        settings["accept_lineitem"] = True
        settings["accept_presentation_document_targets"] = ["iframe", "window"]

    def _add_person(self, person: school.Person, course: school.Course) -> None:
        if not person.known:
            self.set_extra_claims({CLAIM + "roles": list(person.roles)})
            return
        name = person.name if person.shared and "name" in self._tool.claims else None
        email = person.email if "email" in self._tool.claims else None
        self.set_user_data(person.id, list(person.roles), name, email)
        claims: dict[str, Any] = {
            CLAIM + "lis": {
                "person_sourcedid": f"CG-{person.id}",
                "course_section_sourcedid": f"CG-{course.id}",
            }
        }
        if name:
            claims |= {"family_name": name[:1], "given_name": name[1:]}
        if person.children:
            claims[CLAIM + "role_scope_mentor"] = list(person.children)
        self.set_extra_claims(claims)

    def _add_presentation(self, wish: Mapping[str, Any]) -> None:
        self.set_extra_claims(
            {
                CLAIM + "launch_presentation": {
                    "document_target": wish["target"],
                    "return_url": self._addresses.course(wish["course"]),
                    "locale": wish["locale"],
                },
                CLAIM + "tool_platform": {
                    "guid": "sandbox.chenguang.example",
                    "name": school.NAME,
                    "product_family_code": "gongyu-sandbox",
                    "version": "1",
                },
            }
        )

    def render_launch_form(self, launch_data: dict[str, Any], **kwargs: Any) -> str:
        fields = {key: launch_data[key] for key in ("id_token", "state")}
        if self.storage_target:
            fields["lti_storage_target"] = self.storage_target
        return render_template("post.html", action=launch_data["launch_url"], fields=fields)


def _check_request(sent: Mapping[str, Any], user: str) -> None:
    """LTI Security Framework 1.1, 5.1.1.2: the fixed values of an authentication request."""
    fixed = {"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none"}
    for name, value in fixed.items():
        if sent.get(name) != value:
            raise LoginRefused("invalid_request", f"{name} must be {value}", to_tool=True)
    if sent.get("login_hint") != user:
        raise LoginRefused("access_denied", "login_hint belongs to another person", to_tool=True)
