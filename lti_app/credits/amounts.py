"""Hundredths as people read them, in the page's language."""

from __future__ import annotations

from decimal import Decimal

from flask_babel import format_decimal


def plain(hundredths: int) -> str:
    """150 is "1.5"."""
    return str(format_decimal(Decimal(hundredths) / 100, format="#,##0.##"))


def exact(hundredths: int) -> str:
    """150 is "1.50", as columns of a ledger need it."""
    return str(format_decimal(Decimal(hundredths) / 100, format="#,##0.00"))


def signed(hundredths: int) -> str:
    """150 is "+1.50", -50 is "−0.50" with a real minus sign."""
    return str(format_decimal(Decimal(hundredths) / 100, format="+#,##0.00;−#,##0.00"))
