"""Why a platform could not register itself, for the administrator in front of the screen. Codes are stable."""

from __future__ import annotations

from typing import Any

from flask import current_app
from flask_babel import gettext, lazy_gettext

from integrations.errors import IntegrationError
from lti_app.errors import AppError

_START_AGAIN = lazy_gettext("请回到学校平台，重新开始登记。邀请没有用掉，可以再用。")
_LATER = lazy_gettext("平台可能正忙，或者服务器之间不通。请几分钟后在学校平台里重新开始登记；邀请没有用掉。")
_FORMAT = lazy_gettext("请把下面的代码告诉本工具的运营人员；也可以改用手工登记。邀请没有用掉。")

TEXTS: dict[str, tuple[Any, Any, int]] = {
    "incomplete": (lazy_gettext("登记地址不完整"), _START_AGAIN, 400),
    "no-invitation": (
        lazy_gettext("登记需要邀请"),
        lazy_gettext("请使用运营人员发给您的完整登记地址；地址的最后一段就是邀请码。"),
        403,
    ),
    "unknown-invitation": (
        lazy_gettext("没有找到这个邀请"),
        lazy_gettext("请核对登记地址是否复制完整；如果没有少，请向运营人员要一个新的。"),
        404,
    ),
    "expired-invitation": (
        lazy_gettext("这个邀请已经过期"),
        lazy_gettext("请向运营人员要一个新的登记地址。"),
        410,
    ),
    "used-invitation": (
        lazy_gettext("这个邀请已经用过"),
        lazy_gettext("每个邀请只能登记一个平台。要再登记一个，请向运营人员要新的登记地址。"),
        410,
    ),
    "busy-invitation": (
        lazy_gettext("这个邀请正在使用"),
        lazy_gettext("另一个窗口正在用它登记。请先看那个窗口的结果；如果没有，三分钟后再试。"),
        409,
    ),
    "busy": (
        lazy_gettext("有人正在登记同一个平台"),
        lazy_gettext("这次什么也没有记下。请几分钟后在学校平台里重新开始登记。"),
        409,
    ),
    "too-many-waiting": (
        lazy_gettext("等待批准的登记太多了"),
        lazy_gettext("请先联系运营人员处理已有的登记，或要一个邀请。"),
        429,
    ),
    "already-registered": (
        lazy_gettext("这个平台已经登记过"),
        lazy_gettext("要更新登记，请向运营人员要一个邀请。刚才在平台里新建的登记可以删除。"),
        409,
    ),
    "other-school": (
        lazy_gettext("这个平台登记在另一所学校名下"),
        lazy_gettext("请运营人员核对邀请发给了哪所学校。没有改动任何登记。"),
        409,
    ),
    "switched-off": (
        lazy_gettext("这个平台的登记已被停用"),
        lazy_gettext("请运营人员先恢复它，再重新登记。没有改动任何登记。邀请没有用掉。"),
        409,
    ),
    "hosts-changed": (
        lazy_gettext("平台的服务器换了，不能直接更新"),
        lazy_gettext(
            "令牌地址或公钥地址的主机名与已有登记不同。请运营人员核对后重新登记。没有改动任何登记。"
        ),
        409,
    ),
    "foreign-issuer": (
        lazy_gettext("平台自报的身份与它的地址不符"),
        lazy_gettext("配置所在的主机不能代表这个 Issuer。请平台管理员检查站点地址的设置。邀请没有用掉。"),
        422,
    ),
    "bad-configuration": (lazy_gettext("平台的配置缺少必要的地址"), _FORMAT, 422),
    "broken-answer": (lazy_gettext("看不懂平台的回答"), _FORMAT, 502),
    "too-large": (lazy_gettext("平台的回答太大"), _FORMAT, 502),
    "configuration-refused": (lazy_gettext("平台不让读取它的配置"), _START_AGAIN, 502),
    "registration-token-refused": (
        lazy_gettext("平台不再接受这次登记"),
        lazy_gettext("登记凭据只在短时间内有效，而且只能用一次。请在学校平台里重新开始登记；邀请没有用掉。"),
        409,
    ),
    "registration-refused": (lazy_gettext("平台没有同意登记"), _FORMAT, 502),
    "not-https": (
        lazy_gettext("平台的地址不是 https"),
        lazy_gettext("如果这是内网或测试平台，请运营人员发一个允许 http 的邀请。邀请没有用掉。"),
        422,
    ),
    "private-address": (
        lazy_gettext("平台的地址在内网"),
        lazy_gettext("如果这正是学校的内网平台，请运营人员发一个允许内网地址的邀请。邀请没有用掉。"),
        422,
    ),
    "bad-address": (lazy_gettext("平台给出的地址不能使用"), _START_AGAIN, 422),
    "tls-failed": (
        lazy_gettext("平台的 https 证书不被信任"),
        lazy_gettext("请平台管理员检查证书是否完整、是否过期。内网证书请运营人员加入信任。邀请没有用掉。"),
        502,
    ),
    "no-place": (
        lazy_gettext("请至少选一个显示位置"),
        lazy_gettext("请返回上一页，选好本工具在平台里出现的位置。"),
        422,
    ),
}
_DEFAULT = (lazy_gettext("暂时联系不上学校平台"), _LATER, 502)


def refused(code: str, *, more: str = "") -> AppError:
    """The refusal for a code of ours or of `integrations`, shown as GY-REGISTER-<CODE>; `more` is a further
    sentence for this one case."""
    title, advice, status = TEXTS.get(code, _DEFAULT)
    text = " ".join(part for part in (str(advice), more) if part)
    return AppError(f"GY-REGISTER-{code.upper()}", title, text, status=status)


def refused_by(error: IntegrationError) -> AppError:
    """The refusal for what went wrong with the platform, with its own words where it gave any."""
    words = str(error) if str(error) != error.code and error.code.startswith("registration-") else ""
    return refused(error.code, more=gettext("平台的说明：%(words)s", words=words) if words else "")


def whom_to_ask() -> str:
    """A sentence that names the operator, as far as the settings do."""
    contact = current_app.config["SETTINGS"].contact
    if contact:
        return gettext("请联系本工具的运营人员：%(contact)s", contact=contact)
    return gettext("请联系本工具的运营人员。")
