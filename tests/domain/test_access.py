"""Who may decide what about tokens, service accounts and grants."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import pytest
from hypothesis import given as searched
from hypothesis import strategies

from tallymark_server.domain.access import commands as c
from tallymark_server.domain.access.commands import DAY, MINUTE, AccessCommand, Admin, decide
from tallymark_server.domain.access.members import Member, MemberKind, parse_member
from tallymark_server.domain.access.state import NEVER, AccessState, member_of, token_member
from tallymark_server.domain.access.token_text import RANDOM_BYTES, TokenText, digest_of, make_token, parse_token
from tallymark_server.domain.errors import (
    AccessExists,
    AccessNotFound,
    InvalidField,
    LastAdminToken,
    LimitReached,
    PermissionDenied,
    RegistryError,
)
from tallymark_server.domain.roles import Role

NOW = 1_800_000_000_000_000
ROOT = Admin("root", {"*": Role.ADMIN})
LAB = Admin("lena", {"lab": Role.ADMIN, "shop": Role.WRITER})
ANN = Member(MemberKind.USER, "ann@example.com")
_numbers = itertools.count(1)


def fresh() -> TokenText:
    return make_token(next(_numbers).to_bytes(6) + bytes(range(RANDOM_BYTES - 6)))


def create(name: str, role: Role | None = Role.READER, *projects: str, days: int = 90, **more: object) -> c.CreateToken:
    expire_time = NOW + days * DAY if days else NEVER
    return c.CreateToken(
        name=name,
        token=fresh(),
        expire_time=expire_time,
        role=role,
        projects=projects,
        **more,  # type: ignore[arg-type]  # one test gives each
    )


def grant(member: Member, project: str, role: Role) -> c.AddGrant:
    return c.AddGrant(member=member, project=project, role=role)


@dataclass
class Given:
    """Access after some commands of an admin of all projects."""

    state: AccessState
    now: int = NOW

    def when(self, command: AccessCommand, by: Admin = ROOT) -> Given:
        """Access after this command too."""
        before = self.state.copy()
        _, after = decide(command, self.state, by, self.now)
        assert self.state == before, "a decision does not change the state"
        return Given(after, self.now)

    def later(self, micros: int) -> Given:
        return Given(self.state, self.now + micros)

    def refused(self, command: AccessCommand, error: type[RegistryError], by: Admin = ROOT) -> str:
        with pytest.raises(error) as refused:
            decide(command, self.state, by, self.now)
        return str(refused.value)


def given(*happened: AccessCommand) -> Given:
    found = Given(AccessState())
    for each in happened:
        found = found.when(each)
    return found


@searched(strategies.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_every_token_has_the_one_form(random: bytes) -> None:
    """Whatever is drawn, a token has the same form, can be parsed, and is not shown by its repr."""
    token = make_token(random)
    assert re.fullmatch(r"tmk_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", token.text)
    assert parse_token(token.text) == token
    assert token.digest == digest_of(token.text)
    assert token.text[13:] not in repr(token)


@searched(strategies.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), strategies.data())
def test_a_token_with_a_typo_is_recognised_by_its_checksum(random: bytes, data: strategies.DataObject) -> None:
    """One wrong character, wherever it is, makes a text no token, without a look at what is stored."""
    text = make_token(random).text
    place = data.draw(strategies.integers(0, len(text) - 1))
    typo = data.draw(strategies.characters(codec="ascii").filter(lambda ch: ch != text[place]))
    assert parse_token(text[:place] + typo + text[place + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "tmk_", "tmk_12345678_", "Bearer x", "tmk_" + "a" * 10_000, "tmk_12345678_" + "é" * 49]
)
def test_other_text_is_no_token(text: str) -> None:
    """Text of another form is no token."""
    assert parse_token(text) is None


def test_a_token_has_its_own_roles() -> None:
    """A token without a service account is a member of its own, with the role in each project that is named."""
    access = given(create("ci", Role.WRITER, "lab", "shop"))
    assert access.state.roles(token_member("ci")) == {"lab": Role.WRITER, "shop": Role.WRITER}
    token = access.state.tokens["ci"]
    assert (token.creator, token.create_time, token.secret.expire_time) == ("root", NOW, NOW + 90 * DAY)


def test_nothing_that_is_recorded_has_a_secret() -> None:
    """The events of a token have its id and its digest, and neither its text nor its secret."""
    command = create("ci", Role.WRITER, "lab")
    events, state = decide(command, AccessState(), ROOT, NOW)
    for shown in (str(events), str(state), repr(command)):
        assert command.token.text not in shown
        assert command.token.text[13:] not in shown


def test_an_admin_of_a_project_decides_about_that_project_alone() -> None:
    """An admin of a project gives what they have: any role there, and none anywhere else, nor in all projects."""
    access = given(create("root", Role.ADMIN, "*", days=0))
    for role in Role:
        access.when(create("ci", role, "lab"), LAB)
        access.when(grant(ANN, "lab", role), LAB)
    for projects in (("shop",), ("*",), ("lab", "shop"), ("lab", "*")):
        access.refused(create("ci", Role.READER, *projects), PermissionDenied, LAB)
        access.refused(c.CreateServiceAccount(name="bot", projects=projects), PermissionDenied, LAB)
        access.refused(grant(ANN, projects[-1], Role.READER), PermissionDenied, LAB)
    access.refused(create("ci", Role.READER, "lab", speaks_for=True), PermissionDenied, LAB)


def test_nobody_gets_a_token_that_speaks_for_others_by_rotating_it() -> None:
    """An admin of its project may revoke it; its next text is for an admin of all projects, who alone can create it."""
    access = given(
        create("root", Role.ADMIN, "*", days=0),
        create("ci", Role.READER, "lab", speaks_for=True),
        c.CreateServiceAccount(name="bot", projects=("lab",)),
        create("bot-1", None, account="bot", speaks_for=True),
    )
    for name in ("ci", "bot-1"):
        rotation = c.RotateToken(name=name, token=fresh())
        access.refused(rotation, PermissionDenied, LAB)
        access.when(rotation)
        access.when(c.RevokeToken(name=name), LAB)


def test_whoever_is_no_admin_decides_nothing() -> None:
    """Every other role, in the project or in all, is not enough for any change."""
    access = given(
        create("root", Role.ADMIN, "*", days=0),
        create("ci", Role.READER, "lab"),
        c.CreateServiceAccount(name="bot", projects=("lab",), role=Role.READER),
        grant(ANN, "lab", Role.READER),
    )
    for role in (Role.READER, Role.WRITER, Role.PROMOTER):
        for project in ("lab", "*"):
            by = Admin("mo", {project: role})
            access.refused(create("x", Role.READER, "lab"), PermissionDenied, by)
            access.refused(create("x", None, account="bot"), PermissionDenied, by)
            access.refused(c.RotateToken(name="ci", token=fresh()), AccessNotFound, by)
            access.refused(c.RevokeToken(name="ci"), AccessNotFound, by)
            access.refused(grant(ANN, "lab", Role.ADMIN), PermissionDenied, by)
            access.refused(c.RemoveGrant(member=ANN, project="lab"), PermissionDenied, by)
            access.refused(c.CreateServiceAccount(name="y", projects=("lab",)), PermissionDenied, by)
            access.refused(c.DeleteServiceAccount(name="bot"), PermissionDenied, by)


def test_a_token_of_other_projects_does_not_exist_for_an_admin_of_one() -> None:
    """A token without a role in the admin's project is not found; one that has roles elsewhere too is refused."""
    access = given(create("shop", Role.READER, "shop"), create("both", Role.READER, "shop", "lab"))
    for command in (c.RevokeToken(name="shop"), c.RotateToken(name="shop", token=fresh())):
        access.refused(command, AccessNotFound, LAB)
    for command in (c.RevokeToken(name="both"), c.RotateToken(name="both", token=fresh())):
        access.refused(command, PermissionDenied, LAB)
    access.when(c.RemoveGrant(member=token_member("both"), project="lab"), LAB)


def test_a_token_cannot_take_over_the_roles_of_another_member() -> None:
    """No two members of different kinds have the same name, so a new token gets no roles that were granted before."""
    access = given(
        grant(Member(MemberKind.USER, "ann"), "*", Role.ADMIN),
        c.CreateServiceAccount(name="bot", projects=("*",), role=Role.ADMIN),
        create("root", Role.ADMIN, "*"),
    )
    for name in ("ann", "bot", "root"):
        access.refused(create(name, Role.READER, "lab"), AccessExists, LAB)
    for name in ("ann", "root"):
        access.refused(c.CreateServiceAccount(name=name, projects=("lab",)), AccessExists, LAB)
    for name in ("bot", "root"):
        access.refused(grant(Member(MemberKind.USER, name), "lab", Role.READER), AccessExists, LAB)


def test_a_service_account_is_limited_to_its_projects() -> None:
    """Its roles are in its projects alone, whoever grants them, and its tokens have these roles."""
    access = given(c.CreateServiceAccount(name="bot", projects=("lab", "shop"), role=Role.READER))
    access = access.when(create("bot-1", None, account="bot"))
    assert access.state.tokens["bot-1"].member == member_of("bot")
    assert access.when(grant(member_of("bot"), "lab", Role.WRITER)).state.roles(member_of("bot"))["lab"] is Role.WRITER
    access.refused(grant(member_of("bot"), "other", Role.READER), InvalidField)
    access.refused(grant(member_of("bot"), "*", Role.READER), InvalidField)
    access.refused(grant(token_member("bot-1"), "lab", Role.ADMIN), InvalidField)
    access.refused(create("bot-2", Role.ADMIN, "lab", account="bot"), InvalidField)
    access.refused(create("bot-2", None, account="bot"), PermissionDenied, LAB)


def test_a_deleted_service_account_leaves_nothing_behind() -> None:
    """Its tokens and grants go with it, and another of that name begins without any."""
    access = given(
        c.CreateServiceAccount(name="bot", projects=("lab",), role=Role.ADMIN),
        create("bot-1", None, account="bot"),
        create("bot-2", None, account="bot"),
        c.DeleteServiceAccount(name="bot"),
    )
    assert (access.state.tokens, access.state.grants, access.state.accounts) == ({}, {}, {})
    again = access.when(c.CreateServiceAccount(name="bot", projects=("lab",)))
    assert again.state.roles(member_of("bot")) == {}


def test_a_revoked_token_leaves_nothing_behind() -> None:
    """Its roles go with it, and another of that name begins without them."""
    access = given(create("ci", Role.ADMIN, "lab"), c.RevokeToken(name="ci"))
    assert access.state.grants == {}
    assert access.when(create("ci", Role.READER, "shop")).state.roles(token_member("ci")) == {"shop": Role.READER}


def test_rotation_overlaps() -> None:
    """After a rotation the new secret counts at once, and the one before until the overlap has passed."""
    access = given(create("ci", Role.READER, "lab"))
    before = access.state.tokens["ci"].secret
    access = access.later(DAY).when(c.RotateToken(name="ci", token=fresh(), overlap=60 * MINUTE))
    old, new = access.state.tokens["ci"].secrets
    assert old.id == before.id != new.id
    assert new.expire_time == NOW + 91 * DAY, "it lasts as long as the one before"
    during, after = NOW + DAY + 59 * MINUTE, NOW + DAY + 60 * MINUTE
    assert (old.counts(during), old.counts(after), new.counts(after)) == (True, False, True)


def test_rotation_without_overlap_ends_every_secret_before() -> None:
    """Without an overlap only the new secret is left, and an overlap never prolongs a secret."""
    access = given(create("ci", Role.READER, "lab", days=1))
    overlapping = access.when(c.RotateToken(name="ci", token=fresh(), overlap=2 * DAY))
    assert [each.expire_time for each in overlapping.state.tokens["ci"].secrets] == [NOW + DAY, NOW + DAY]
    alone = overlapping.when(c.RotateToken(name="ci", token=fresh()))
    assert len(alone.state.tokens["ci"].secrets) == 1


def test_a_token_has_few_secrets_at_a_time() -> None:
    """Rotations that overlap without end are refused."""
    access = given(create("ci", Role.READER, "lab"))
    for _ in range(c.MAX_SECRETS - 1):
        access = access.when(c.RotateToken(name="ci", token=fresh(), overlap=DAY))
    access.refused(c.RotateToken(name="ci", token=fresh(), overlap=DAY), LimitReached)
    access.later(DAY).when(c.RotateToken(name="ci", token=fresh(), overlap=DAY))


def test_the_last_admin_token_cannot_be_lost() -> None:
    """Neither revoking it, nor taking its role, nor deleting its service account is possible while it is the last."""
    access = given(create("root", Role.ADMIN, "*", days=0))
    losing: list[AccessCommand] = [c.RevokeToken(name="root"), c.RemoveGrant(member=token_member("root"), project="*")]
    losing.append(grant(token_member("root"), "*", Role.PROMOTER))
    for command in losing:
        access.refused(command, LastAdminToken)
        access.when(create("second", Role.ADMIN, "*")).when(command)
    access.when(c.RotateToken(name="root", token=fresh()))
    access = access.when(c.CreateServiceAccount(name="bot", projects=("*",), role=Role.ADMIN))
    access = access.when(create("bot-1", None, account="bot")).when(c.RevokeToken(name="root"))
    access.refused(c.DeleteServiceAccount(name="bot"), LastAdminToken)


def test_an_expired_admin_token_does_not_count_as_the_last() -> None:
    """When the other admin token has expired, the one that is left cannot be revoked."""
    access = given(create("root", Role.ADMIN, "*", days=0), create("second", Role.ADMIN, "*", days=1))
    access.when(c.RevokeToken(name="root"))
    access.later(DAY).refused(c.RevokeToken(name="root"), LastAdminToken)


@pytest.mark.parametrize("days", [-1, 4000])
def test_a_token_ends_within_ten_years_or_never(days: int) -> None:
    """A time in the past, or too far ahead to be meant, is refused."""
    given().refused(create("ci", Role.READER, "lab", days=days), InvalidField)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "é", "x" * 101])
def test_names_of_tokens_and_accounts_are_plain(name: str) -> None:
    """Names that could be mistaken for others, or for other text, are refused."""
    given().refused(create(name, Role.READER, "lab"), InvalidField)
    given().refused(c.CreateServiceAccount(name=name, projects=("lab",)), InvalidField)


def test_what_is_missing_is_not_found() -> None:
    """Every command says what does not exist."""
    access = given()
    for command in (
        c.RevokeToken(name="x"),
        c.RotateToken(name="x", token=fresh()),
        create("y", None, account="x"),
        c.DeleteServiceAccount(name="x"),
        grant(member_of("x"), "lab", Role.READER),
        grant(token_member("x"), "lab", Role.READER),
        c.RemoveGrant(member=ANN, project="lab"),
    ):
        assert "x" in access.refused(command, AccessNotFound)


def test_a_grant_that_is_there_changes_nothing() -> None:
    """The same role again is no event; another role takes the place of the one before."""
    access = given(grant(ANN, "lab", Role.READER))
    assert decide(grant(ANN, "lab", Role.READER), access.state, ROOT, NOW)[0] == []
    assert access.when(grant(ANN, "lab", Role.ADMIN)).state.roles(ANN) == {"lab": Role.ADMIN}


def test_members_are_written_with_their_kind() -> None:
    """The text of a member leads back to it; text without a kind is refused."""
    for kind in MemberKind:
        assert parse_member(str(Member(kind, "ann"))) == Member(kind, "ann")
    for text in ("ann", "group:ann", "user:", ":ann", "user: ann"):
        with pytest.raises(InvalidField):
            parse_member(text)
