"""Errors of arguments: requests that can never be fulfilled."""

from __future__ import annotations

from tallymark_server.domain.errors.branches import InvalidArgument, shortened, shown


class MalformedRequest(InvalidArgument):
    """The request could not be decoded."""

    reason = "MALFORMED_REQUEST"

    def __init__(self, message_name: str) -> None:
        super().__init__(
            f"the request is not a valid {message_name}: it is truncated, or has text that is not UTF-8; send it again"
            " with a client generated from protos/tallymark/v1"
        )


class InvalidField(InvalidArgument):
    """A field has a value that it cannot have."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} is {shown(value)}: {rule}", field=field, value=shortened(value))


class InvalidName(InvalidArgument):
    """A name breaks the rule of names."""

    reason = "INVALID_NAME"

    def __init__(self, field: str, value: str, problem: str) -> None:
        super().__init__(
            f"{field} {shown(value)} {problem}; a name has 1 to 255 characters, none of / @ = : and no control"
            " character, and no space at either end",
            field=field,
            value=shortened(value),
        )


class ReservedName(InvalidArgument):
    """A name is a word that means something else."""

    reason = "RESERVED_NAME"

    def __init__(self, field: str, value: str, meaning: str) -> None:
        super().__init__(f"{field} {shown(value)} {meaning}; choose another name", field=field, value=shortened(value))


class ValueTooLarge(InvalidArgument):
    """A value is larger than the field takes."""

    reason = "VALUE_TOO_LARGE"

    def __init__(
        self, field: str, limit: int, unit: str, size: int = 0, remedy: str = "store it elsewhere and keep its URI here"
    ) -> None:
        # The size is unknown where counting stops at the limit.
        has = f"{size:,}" if size > limit else "more"
        super().__init__(
            f"{field} has {has} {unit}, and takes at most {limit:,}; {remedy}",
            field=field,
            limit=limit,
        )


class InvalidPageToken(InvalidArgument):
    """A page token was not created by this registry for this list."""

    reason = "INVALID_PAGE_TOKEN"

    def __init__(self) -> None:
        super().__init__(
            "page_token was not given by this registry for this list; start again without one", field="page_token"
        )


class InvalidFilter(InvalidArgument):
    """A filter or an order cannot be read."""

    reason = "INVALID_FILTER"

    def __init__(self, field: str, found: str, position: int, expected: str) -> None:
        super().__init__(
            f"{field} cannot be read at position {position} ({shown(found)}): expected {expected}",
            field=field,
            position=position,
            expected=expected,
        )
