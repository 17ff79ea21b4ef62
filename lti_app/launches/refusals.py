"""Why a launch was refused, in words for the person in front of the screen. Codes are stable."""

from __future__ import annotations

from typing import Any

from flask_babel import LazyString, gettext, lazy_gettext

from lti_app.errors import LaunchRefused
from lti_app.registrations.refusals import whom_to_ask

_AGAIN = lazy_gettext("请回到学校平台，从课程里重新打开。")
_ADMIN = lazy_gettext("请把下面的代码告诉学校平台的管理员。")

TEXTS: dict[str, tuple[Any, Any, int]] = {
    "login-incomplete": (lazy_gettext("打开方式不完整"), _AGAIN, 400),
    "unknown-platform": (
        lazy_gettext("这个学校平台还没有接入"),
        lazy_gettext("请平台管理员核对工具的 Client ID 和平台地址是否与登记的一致。"),
        401,
    ),
    "used": (
        lazy_gettext("这次打开已经用过了"),
        lazy_gettext("为了安全，每次打开只能用一次。请回到学校平台，从课程里重新打开。"),
        401,
    ),
    "other-browser": (
        lazy_gettext("无法确认是您的浏览器打开的"),
        lazy_gettext("请回到学校平台重新打开；如果仍然这样，请换一个浏览器，或允许本站使用 Cookie。"),
        401,
    ),
    "expired": (
        lazy_gettext("打开得太晚，这次启动已过期"),
        lazy_gettext("请重新打开；如果总是这样，请管理员检查学校平台服务器的时钟。"),
        401,
    ),
    "not-yet-valid": (
        lazy_gettext("学校平台的时间比实际时间快"),
        lazy_gettext("请管理员检查学校平台服务器的时钟。"),
        401,
    ),
    "unknown-deployment": (
        lazy_gettext("这个部署还没有登记"),
        lazy_gettext("请平台管理员把部署编号（Deployment ID）告诉本工具的运营人员登记。"),
        401,
    ),
    "pending-deployment": (
        lazy_gettext("这个部署在等待批准"),
        LazyString(
            lambda: gettext(
                "平台里新装的这一处已经记下，批准后就能打开，不用重新安装。%(ask)s", ask=whom_to_ask()
            )
        ),
        401,
    ),
    "rejected-deployment": (
        lazy_gettext("这个部署没有获得批准"),
        LazyString(whom_to_ask),
        401,
    ),
    "pending-platform": (
        lazy_gettext("这个学校平台在等待批准"),
        LazyString(lambda: gettext("登记已经收到，批准后就能打开，不用重新登记。%(ask)s", ask=whom_to_ask())),
        401,
    ),
    "platform-keys": (
        lazy_gettext("暂时取不到学校平台的公钥"),
        lazy_gettext("学校平台可能正忙。请几分钟后重新打开；如果一直这样，请联系平台管理员。"),
        503,
    ),
    "platform-error": (lazy_gettext("学校平台没有同意这次打开"), _AGAIN, 401),
    "login-required": (
        lazy_gettext("您在学校平台的登录已失效"),
        lazy_gettext("请先重新登录学校平台，再从课程里打开。"),
        401,
    ),
    "unsupported-message": (
        lazy_gettext("本工具还不支持这种打开方式"),
        lazy_gettext("请老师用“外部工具”活动添加本工具，再从课程里打开。"),
        400,
    ),
}
_DEFAULT = (lazy_gettext("学校平台发来的信息有误"), _ADMIN, 401)


def refused(code: str, *, detail: str | None = None) -> LaunchRefused:
    """The refusal for a code of ours or of `integrations`; shown as GY-LAUNCH-<CODE>."""
    title, advice, status = TEXTS.get(code, _DEFAULT)
    error = LaunchRefused(f"GY-LAUNCH-{code.upper()}", title, advice, status=status)
    error.detail = detail
    return error
