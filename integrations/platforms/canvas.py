"""Canvas, hosted and self-hosted. Read in its source and documentation, not run (paths are Canvas's own)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from integrations.http import HttpAnswer
from integrations.platforms.base import Platform, host_of, timestamp_text
from integrations.terms import (
    AccountFormat,
    ContentHint,
    ContentRules,
    DeepLinkingSettings,
    GradingProgress,
    MessageType,
    Outcome,
    PlacementOffer,
    PlatformConfiguration,
    RegistrationWishes,
    Score,
    SentScore,
    ToolDescription,
)

_EXTENSION = "https://canvas.instructure.com/lti/"
_SUBMISSION = "https://canvas.instructure.com/lti/submission"
_HOSTED = ".instructure.com"
_HOSTS = (_HOSTED, ".canvaslms.com")
_MODULE_NAME = "https://canvas.instructure.com/lti/module_name"
_ONE_ITEM = frozenset({"assignment_selection", "submission_type_selection", "homework_submission"})
# What to know of the placements whose items may bring a column; all others make ungraded links.
_GRADED = {
    "assignment_selection": {ContentHint.CONFIRM_THERE, ContentHint.RENAMES},
    "course_assignments_menu": {ContentHint.PUBLISH_THERE},
    "module_index_menu_modal": {ContentHint.PUBLISH_THERE, ContentHint.NEW_MODULE},
    "module_menu_modal": {ContentHint.PUBLISH_THERE},
}

_SIDEBAR = "course_navigation"
# app/models/lti/ims/registration.rb, canvas_placement_name: the standard's names for two of its own.
_STANDARD_PLACEMENTS = {"ContentArea": "link_selection", "RichTextEditor": "editor_button"}
_PICKER_SIZE = (800, 720)
_COST = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,20})?")
_LOW_BUCKET, _REFILLED, _REFILL_A_SECOND = 60.0, 160.0, 10.0
_TOOL_ID, _VENDOR = "gongyu", "Gongyu"


class Canvas(Platform):
    kind: ClassVar[str] = "canvas"
    title: ClassVar[str] = "Canvas"
    # request_throttle.rb: about 12 calls in flight fill the bucket of a client id, all its schools together.
    max_parallel: ClassVar[int] = 2
    # memberships_provider.rb: the default, and the most it gives.
    roster_page_size: ClassVar[int] = 50
    # results_controller.rb: pages with a `Link`. scores_controller.rb scales; grades have two decimals.
    results_page_size: ClassVar[int | None] = 100
    result_decimals: ClassVar[int | None] = 2
    scales_scores: ClassVar[bool] = True
    # Admin > SIS Import (doc/api/sis_csv.md).
    account_format: ClassVar[AccountFormat | None] = AccountFormat.SIS
    placement_claim: ClassVar[str] = "https://www.instructure.com/placement"
    # Registered as `observees=$com.instructure.User.observees` (tools_variable_substitutions.md).
    mentor_custom_key: ClassVar[str | None] = "observees"
    # jwt_message.rb, add_mentorship_claims!: `lti_id` today, in older installations the LTI 1.1 id.
    mentor_ids_are_subs: ClassVar[bool] = False
    # config/security.yml: self-hosted installations share the default `lti_iss` with the hosted service.
    issuer_is_shared: ClassVar[bool] = True
    # A column made by the tool is a new assignment in the teacher's course (line_items_controller.rb), and
    # one with the link's id is refused for navigation links.
    line_item_with_resource_link: ClassVar[bool] = False
    # scores_controller.rb, gradebook_services.rb, and bodies recorded by others (UBC WebWork, WikiEdu).
    words: ClassVar[tuple[tuple[int, str, Outcome], ...]] = (
        (422, "still unpublished", Outcome.WAITING_FOR_PUBLISH),
        (422, "not a student", Outcome.NOT_GRADABLE),
        (422, "course has concluded", Outcome.CONTEXT_CLOSED),
        (404, "specified resource does not exist", Outcome.CONTEXT_CLOSED),
        (422, "maximum number of allowed attempts", Outcome.LOCKED),
        (422, "cannot be changed at this time", Outcome.LOCKED),
        (400, "before last updated timestamp", Outcome.FRESH_TIMESTAMP),
        (401, "invalid developer key", Outcome.MISCONFIGURED),
        (401, "access token not linked to a tool", Outcome.MISCONFIGURED),
    )

    def known_endpoints(self, base: str) -> dict[str, str]:
        """lti_launch_overview.md and lti_dev_key_config.md. A host of our own naming may be anybody's
        Canvas, so its issuer must be given."""
        host = urlsplit(base).hostname or ""
        token_url = f"{base}/login/oauth2/token"
        if not host.endswith(_HOSTED):
            return {
                "auth_url": f"{base}/api/lti/authorize_redirect",
                "token_url": token_url,
                "jwks_url": f"{base}/api/lti/security/jwks",
            }
        environment = next((name for name in (".beta", ".test") if host.endswith(name + _HOSTED)), "")
        sso = f"https://sso{environment}.canvaslms.com/api/lti"
        return {
            "issuer": f"https://canvas{environment}{_HOSTED}",
            "auth_url": f"{sso}/authorize_redirect",
            "token_url": token_url,
            "jwks_url": f"{sso}/security/jwks",
        }

    def score_body(
        self, score: Score, *, sent: SentScore | None, now: datetime, keep_teacher_grade: bool = False
    ) -> dict[str, Any]:
        """A new attempt only for new work, and no erased grade (scores_controller.rb).

        Each POST is an attempt unless `new_submission` is false; a score that is not final erases the
        existing one unless `preserve_score` is true; `submittedAt` may not lie in the future.
        """
        body = super().score_body(score, sent=sent, now=now)
        body["submission"] = {"submittedAt": timestamp_text(min(score.submitted_at, now))}
        extension: dict[str, Any] = {
            "new_submission": sent is None or sent.submitted_at != score.submitted_at,
        }
        if score.grading_progress is not GradingProgress.FULLY_GRADED:
            extension["preserve_score"] = True
        if keep_teacher_grade:
            # It keeps any existing grade, our own too: only for who asks.
            extension["prioritize_non_tool_grade"] = True
        body[_SUBMISSION] = extension
        return body

    def pause_after(self, answer: HttpAnswer) -> float:
        """request_throttle.rb: a bucket of cost that all calls of a client id share; what is left of it stands
        in `X-Rate-Limit-Remaining`, and ten of it come back each second. Below nothing, calls are refused."""
        left = answer.header("X-Rate-Limit-Remaining")
        low = _COST.fullmatch(left) is not None and float(left) < _LOW_BUCKET
        return max(super().pause_after(answer), (_REFILLED - float(left)) / _REFILL_A_SECOND if low else 0.0)

    def comment(self, score: Score, sent: SentScore | None) -> str | None:
        """Only a changed one: each POST with a comment adds another to the submission."""
        return None if sent is not None and sent.comment == score.comment else score.comment

    # Admin > Developer Keys > the key: scopes; the installed app's privacy level (lti_dev_key_config.md).
    admin_place: ClassVar[str] = "developer-key"

    def explain_token_failure(self, answer: HttpAnswer) -> str | None:
        """The words beside `invalid_client` (lib/canvas/oauth/asymmetric_client_credentials_provider.rb,
        lib/canvas/security/jwt_validator.rb): it fetches our key set at each request."""
        text = answer.text.lower()
        hints = (
            ("jwk error", "keys-fetch-failed"),
            ("jws signature invalid", "signature-refused"),
            ("'aud'", "audience-refused"),
        )
        return next((code for words, code in hints if words in text), None)

    # -- deep linking ------------------------------------------------------------------------------

    # deep_linking_request.rb: the return address holds a token that is good for one answer.
    answer_is_repeatable: ClassVar[bool] = False

    def content_rules(self, said: DeepLinkingSettings) -> ContentRules:
        """By placement (content_item.md, deep_linking_modules.rb): it says nothing about columns itself.

        What is made from a menu or in a module is unpublished; a module item without a column has no dates.
        """
        rules = super().content_rules(said)
        if said.placement is None:
            return replace(rules, hints=frozenset({ContentHint.PUBLISH_THERE}))
        hints = _GRADED.get(
            said.placement,
            {ContentHint.PUBLISH_THERE, ContentHint.NO_COLUMN_HERE, ContentHint.DATES_STAY_HERE},
        )
        return replace(
            rules,
            multiple=rules.multiple and said.placement not in _ONE_ITEM,
            columns=rules.columns and said.placement in _GRADED,
            hints=frozenset(hints),
        )

    def answer_claims(self, collection: str) -> dict[str, Any]:
        """The name of the module that the modules page makes (read since April 2026, else "New Content From
        App"); other places ignore it."""
        return {_MODULE_NAME: collection}

    # -- dynamic registration ----------------------------------------------------------------------

    # Admin > Apps > Manage, or Developer Keys > LTI Registration. The app is not available anywhere until
    # somebody says so (doc/api/registration.md; the WikiEduDashboard field log).
    registration_place: ClassVar[str] = "apps-registration"
    steps_after_registration: ClassVar[tuple[str, ...]] = ("review-app", "set-available", "open-once")
    organisation_member: ClassVar[str] = f"{_EXTENSION}account_name"
    # It has no `$ResourceLink.id.history` (tools_variable_substitutions.md).
    custom_variables: ClassVar[Mapping[str, str]] = {
        "context_history": "$Context.id.history",
        "observees": "$com.instructure.User.observees",
    }
    placement_offers: ClassVar[tuple[PlacementOffer, ...]] = (
        PlacementOffer(_SIDEBAR, MessageType.RESOURCE_LINK, True),
        PlacementOffer("assignment_selection", MessageType.DEEP_LINKING, True),
        PlacementOffer("link_selection", MessageType.DEEP_LINKING, True),
        PlacementOffer("module_index_menu_modal", MessageType.DEEP_LINKING, True),
        PlacementOffer("course_assignments_menu", MessageType.DEEP_LINKING, False),
    )

    def owns_issuer(self, issuer: str, configuration_url: str) -> bool:
        """Its makers' hosts speak for the issuers that all hosted schools share; nobody else does."""
        hosted = host_of(configuration_url).endswith(_HOSTS) and host_of(issuer).endswith(_HOSTED)
        return hosted or super().owns_issuer(issuer, configuration_url)

    def audience_of(self, configuration: PlatformConfiguration) -> str:
        """The token address: `authorization_server` is a bare host there (registration.md), which its check
        of assertions does not know (client_credentials_provider.rb)."""
        return configuration.token_url

    def offered_placements(self, configuration: PlatformConfiguration) -> tuple[PlacementOffer, ...]:
        return tuple(
            offer
            for offer in self.placement_offers
            if offer.name in map(_placement_name, configuration.messages.get(offer.message_type, ()))
        )

    def registration_messages(
        self, tool: ToolDescription, configuration: PlatformConfiguration, wishes: RegistrationWishes
    ) -> list[dict[str, Any]]:
        """A message for each type with its places; one without any would be put where nobody asked for it
        (registration.rb, ims_lti_config_to_internal_placement_config)."""
        messages: list[dict[str, Any]] = []
        for kind in (MessageType.RESOURCE_LINK, MessageType.DEEP_LINKING):
            offered = self.offered_placements(configuration)
            places = [o.name for o in offered if o.message_type is kind and o.name in wishes.placements]
            if not places:
                continue
            message: dict[str, Any] = {
                "type": kind.value,
                "target_link_uri": tool.launch_url,
                "label": _label(tool, kind),
                "icon_uri": tool.logo_url,
                "placements": places,
            }
            if kind is MessageType.DEEP_LINKING:
                width, height = _PICKER_SIZE
                message |= {f"{_EXTENSION}launch_width": width, f"{_EXTENSION}launch_height": height}
            if _SIDEBAR in places:
                # Each teacher shows it in the course's menu where it is wanted.
                message[f"{_EXTENSION}{_SIDEBAR}/default_enabled"] = False
            messages.append(message)
        return messages

    def registration_members(self, wishes: RegistrationWishes) -> dict[str, Any]:
        return {
            f"{_EXTENSION}privacy_level": _privacy_level(wishes),
            f"{_EXTENSION}tool_id": _TOOL_ID,
            f"{_EXTENSION}vendor": _VENDOR,
        }

    def manual_configuration(
        self, tool: ToolDescription, wishes: RegistrationWishes, scopes: Iterable[str]
    ) -> dict[str, Any]:
        """The JSON of Developer Keys > LTI Key > "Paste JSON" or "Enter URL" (lti_dev_key_config.md)."""
        chosen = [offer for offer in self.placement_offers if offer.name in wishes.placements]
        settings = {
            "text": tool.name,
            "icon_url": tool.logo_url,
            "placements": [_manual_placement(tool, offer) for offer in chosen],
        }
        extension = {
            "domain": self.tool_domain(tool.launch_url),
            "tool_id": _TOOL_ID,
            "platform": "canvas.instructure.com",
            "privacy_level": _privacy_level(wishes),
            "settings": settings,
        }
        return {
            "title": tool.name,
            "description": tool.description,
            "oidc_initiation_url": tool.login_url,
            "target_link_uri": tool.launch_url,
            "public_jwk_url": tool.jwks_url,
            "scopes": sorted(scopes),
            "extensions": [extension],
            "custom_fields": dict(self.custom_variables),
        }


def _placement_name(name: str) -> str:
    plain = name.removeprefix(_EXTENSION)
    return _STANDARD_PLACEMENTS.get(plain, plain)


def _privacy_level(wishes: RegistrationWishes) -> str:
    """The level `public` is the only one that also tells whose parent somebody is (jwt_message.rb)."""
    return "public" if wishes.with_names else "anonymous"


def _label(tool: ToolDescription, kind: MessageType) -> str:
    return tool.picker_label if kind is MessageType.DEEP_LINKING else tool.label


def _manual_placement(tool: ToolDescription, offer: PlacementOffer) -> dict[str, Any]:
    placement: dict[str, Any] = {
        "placement": offer.name,
        "message_type": offer.message_type.value,
        "target_link_uri": tool.launch_url,
        "text": _label(tool, offer.message_type),
        "icon_url": tool.logo_url,
    }
    if offer.name == _SIDEBAR:
        placement["default"] = "disabled"
    else:
        placement["selection_width"], placement["selection_height"] = _PICKER_SIZE
    return placement
