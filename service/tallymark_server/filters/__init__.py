"""Parse filters (https://aip.dev/160) into conditions, and orders (https://aip.dev/132) into sort keys.

stage = "production" AND metadata.auc > 0.9
tags:growth OR tags:retention            OR binds tighter than AND
NOT create_time < "2026-01-01T00:00:00Z"
version_name = "rc-*" (creator:ana)      two terms side by side must both hold
metadata.depth = null                    the key is there, without a value
metadata.auc desc, number                an order
"""

from __future__ import annotations

from typing import Any

from tallymark_server.domain.errors import InvalidFilter, ValueTooLarge
from tallymark_server.domain.query import Condition, Fields, Order

MAX_FILTER = 8192
MAX_PARENTHESES = 50


def parse(text: str, fields: Fields) -> Condition | None:
    """Return the condition of the filter, None if it is empty. Raises InvalidFilter with position and expectation."""
    if len(text) > MAX_FILTER:
        raise ValueTooLarge("filter", MAX_FILTER, "characters", len(text))
    if not text.strip():
        return None
    if text.count("(") > MAX_PARENTHESES:
        raise InvalidFilter("filter", text, text.rindex("(") + 1, f"at most {MAX_PARENTHESES} parentheses")
    condition: Condition = _read("filter", "start", text, fields)
    return condition


def parse_order(text: str, fields: Fields, own: Order) -> tuple[Order, ...]:
    """Return the order, with the list's own as last key. Raises InvalidFilter with position and expectation."""
    if len(text) > MAX_FILTER:
        raise ValueTooLarge("order_by", MAX_FILTER, "characters", len(text))
    chosen: list[Order] = _read("order_by", "order", text, fields) if text.strip() else []
    if any(order.field == own.field for order in chosen):
        return tuple(chosen)
    return (*chosen, own)


def _read(what: str, rule: str, text: str, fields: Fields) -> Any:
    # Loaded with the first filter, since it would delay the start of the server by a tenth of a second.
    from tallymark_server.filters import language

    return language.read(what, rule, text, fields)
