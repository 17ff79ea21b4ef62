# SPDX-License-Identifier: AGPL-3.0-or-later
"""A small Open edX: its own LTI consumer (`lti_consumer`) behind a stand-in for the rest of the LMS.

The consumer's OIDC, keyset, token, AGS and NRPS addresses are served as shipped. What the LMS around it
would know (who is enrolled, which block is where, the gradebook) is answered by `school.py`. Three pages are
ours: `/launch/<user>?unit=…&course=…` is the click on a unit, `/choose/<user>?unit=…` is an author's click on
"select content", `/state` shows what is stored.

Run with the interpreter that has requirements.lock installed:
    python lms.py --port PORT --tool http://127.0.0.1:TOOL_PORT --data DIRECTORY
"""

from __future__ import annotations

import argparse
import logging
import uuid
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings
from school import COURSE_KEY, COURSE_TITLE, UNITS, USERS, User, gradebook, stand_in_for_the_lms, usage_id

urlpatterns: list[Any] = []


def configure(base_url: str, data: Path) -> None:
    """Django settings: one process (launch data travels through a local-memory cache), one SQLite file."""
    settings.configure(
        SECRET_KEY=uuid.uuid4().hex,
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "config_models",
            "lti_consumer",
        ],
        MIDDLEWARE=[
            "edx_django_utils.cache.middleware.RequestCacheMiddleware",
            f"{__name__}.nobody_signs_in",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": data / "open_edx.sqlite3",
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        USE_TZ=True,
        LOGGING_CONFIG=None,
        PLATFORM_NAME="Open edX (test)",
        LMS_ROOT_URL=base_url,
        LTI_BASE=base_url,
        LTI_API_BASE=base_url,
        USAGE_ID_PATTERN=r"(?P<usage_id>[^/]+)",
        FEATURES={},
    )
    django.setup()


def nobody_signs_in(get_response: Any) -> Any:
    """The address says who clicks; the consumer still wants a `request.user`."""

    def middleware(request: Any) -> Any:
        from django.contrib.auth.models import AnonymousUser

        request.user = AnonymousUser()
        return get_response(request)

    return middleware


def install_units(tool: str) -> None:
    """Create or update the passport and the LTI configuration of each unit, as Studio would."""
    from django.core.management import call_command
    from lti_consumer.models import CourseAllowPIISharingInLTIFlag, Lti1p3Passport, LtiConfiguration
    from opaque_keys.edx.keys import CourseKey, UsageKey

    call_command("migrate", verbosity=0)
    for unit, name in UNITS.items():
        passport, _ = Lti1p3Passport.objects.update_or_create(
            name=name,
            defaults={"context_key": COURSE_KEY, "lti_1p3_tool_keyset_url": f"{tool}/lti/jwks.json"},
        )
        LtiConfiguration.objects.update_or_create(
            location=UsageKey.from_string(usage_id(unit)),
            defaults={
                "version": LtiConfiguration.LTI_1P3,
                "config_store": LtiConfiguration.CONFIG_ON_DB,
                "lti_1p3_passport": passport,
                "lti_1p3_oidc_url": f"{tool}/lti/login",
                "lti_1p3_launch_url": f"{tool}/lti/launch",
                "lti_advantage_enable_nrps": True,
                "lti_advantage_ags_mode": LtiConfiguration.LTI_ADVANTAGE_AGS_PROGRAMMATIC,
                "lti_advantage_deep_linking_enabled": True,
                "lti_advantage_deep_linking_launch_url": f"{tool}/lti/launch",
            },
        )
    if not CourseAllowPIISharingInLTIFlag.current(CourseKey.from_string(COURSE_KEY)).enabled:
        CourseAllowPIISharingInLTIFlag.objects.create(
            course_id=CourseKey.from_string(COURSE_KEY), enabled=True
        )


def launch_data(user: User, unit: str, course: str | None = None) -> Any:
    """What the consumer's block would hand over for this click; `course` is the block's custom parameter."""
    from lti_consumer.data import Lti1p3LaunchData
    from lti_consumer.models import LtiConfiguration

    return Lti1p3LaunchData(
        user_id=user.id,
        user_role=user.role,
        config_id=LtiConfiguration.objects.get(location=usage_id(unit)).config_id,
        resource_link_id=usage_id(unit),
        external_user_id=user.external_id,
        preferred_username=user.username,
        name=user.name,
        email=user.email,
        launch_presentation_document_target="iframe",
        context_id=COURSE_KEY,
        context_type=["course_offering"],
        context_title=COURSE_TITLE,
        context_label=COURSE_KEY,
        custom_parameters={"gongyu_course": course} if course else {},
    )


def launch(request: Any, username: str) -> Any:
    """The click on a unit: send the browser to the tool's login address, or 404 for who or what is unknown."""
    from django.http import Http404, HttpResponseRedirect
    from lti_consumer.api import get_lti_1p3_content_url

    unit = request.GET.get("unit", "unit-1")
    if username not in USERS or unit not in UNITS:
        raise Http404
    data = launch_data(USERS[username], unit, request.GET.get("course"))
    return HttpResponseRedirect(get_lti_1p3_content_url(data))


def choose(request: Any, username: str) -> Any:
    """An author's click on "select content" of a unit: the same, with a deep linking request."""
    from django.http import Http404, HttpResponseRedirect
    from lti_consumer.api import get_lti_1p3_launch_start_url

    unit = request.GET.get("unit", "unit-1")
    if username not in USERS or unit not in UNITS:
        raise Http404
    data = launch_data(USERS[username], unit)
    return HttpResponseRedirect(get_lti_1p3_launch_start_url(data, deep_link_launch=True))


def unit_state(unit: str) -> dict[str, str]:
    """What an author copies from Studio into the tool, and the ids that launches of this unit carry."""
    from lti_consumer.api import get_lti_1p3_launch_info

    info = get_lti_1p3_launch_info(launch_data(USERS["chen"], unit))
    return {
        "issuer": settings.LTI_API_BASE,
        "client_id": info["client_id"],
        "deployment_id": info["deployment_id"],
        "auth_url": info["oidc_callback"],
        "token_url": info["token_url"],
        "keyset_url": info["keyset_url"],
        "resource_link_id": usage_id(unit),
        "context_id": COURSE_KEY,
    }


def state(_request: Any) -> Any:
    """Registrations, accounts, and the rows of LtiAgsLineItem, LtiAgsScore, LtiDlContentItem and the
    gradebook."""
    from django.http import JsonResponse
    from lti_consumer.models import LtiAgsLineItem, LtiAgsScore, LtiDlContentItem

    body = {
        "units": {unit: unit_state(unit) for unit in UNITS},
        "users": {
            name: {"sub": user.external_id, "name": user.name, "email": user.email, "role": user.role}
            for name, user in USERS.items()
        },
        "line_items": list(LtiAgsLineItem.objects.order_by("id").values()),
        "scores": list(LtiAgsScore.objects.order_by("id").values()),
        "content_items": [
            {"unit": item.lti_configuration.location.block_id, **item.attributes}
            for item in LtiDlContentItem.objects.select_related("lti_configuration").order_by("id")
        ],
        "gradebook": gradebook,
    }
    # Usage keys and datetimes are shown as text.
    return JsonResponse(body, json_dumps_params={"default": str})


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tool", required=True, help="origin of the tool, without a slash at the end")
    parser.add_argument("--data", type=Path, required=True, help="directory of the SQLite file")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    args.data.mkdir(parents=True, exist_ok=True)
    configure(f"http://127.0.0.1:{args.port}", args.data)
    stand_in_for_the_lms()
    install_units(args.tool)

    from django.core.wsgi import get_wsgi_application
    from django.urls import include, path

    urlpatterns.extend(
        [
            path("api/", include("lti_consumer.plugin.urls")),
            path("launch/<str:username>", launch),
            path("choose/<str:username>", choose),
            path("state", state),
        ]
    )
    make_server("127.0.0.1", args.port, get_wsgi_application(), server_class=Server).serve_forever()


if __name__ == "__main__":
    main()
