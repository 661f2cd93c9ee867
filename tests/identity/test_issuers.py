"""The settings say which issuers are trusted, and what their claims give."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from documents import blocks

from tallymark_server.domain.roles import Role
from tallymark_server.identity.issuers import InvalidIssuerError, Issuers, parse_issuers

COMPANY = {"name": "company", "url": "https://id.example", "audience": "tallymark"}
GRANT = {"issuer": "company", "group": "ml", "project": "lab", "role": "reader"}


def test_claims_give_roles(issuers: Issuers) -> None:
    """A grant holds if all of its claims have its values, and of several grants the highest role counts."""
    (company,) = issuers

    def roles(**claims: Any) -> dict[str, Role]:
        return issuers.roles("company", issuers.relevant(company, claims))

    assert roles() == {}
    assert roles(groups="ml") == roles(groups=["ml", "others"]) == {"*": Role.READER}
    assert roles(groups=["leads", "ml"]) == {"*": Role.READER, "lab": Role.PROMOTER}
    assert roles(repo="acme/churn", ref="dev") == {}
    assert roles(repo="acme/churn", ref="main") == {"lab": Role.WRITER}
    assert roles(repo="acme/churn", ref="main", groups=["leads"]) == {"lab": Role.PROMOTER}
    assert issuers.roles("other", issuers.relevant(company, {"groups": "ml"})) == {}


@pytest.mark.parametrize("groups", [None, 7, {"ml": True}, [["ml"]], "m", "ml,leads", "ML"])
def test_claims_of_another_form_give_nothing(issuers: Issuers, groups: Any) -> None:
    """Only a text, or a list of texts, that is equal to the group gives its role."""
    (company,) = issuers
    assert issuers.roles("company", issuers.relevant(company, {"groups": groups})) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "My company"}, "needs a name of letters"),
        ({"url": "http://id.example"}, "begins with https://"),
        ({"url": "file:///etc/passwd"}, "begins with https://"),
        ({"audience": []}, "needs an audience"),
        ({"audience": 7}, "is no text"),
        ({"client-secret": "hunter2"}, "it takes audience"),
    ],
)
def test_an_invalid_issuer_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The error says what is wrong, and shows no secret."""
    with pytest.raises(InvalidIssuerError, match=words) as caught:
        parse_issuers([COMPANY | change], [], tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"issuer": "other"}, "no known issuer"),
        ({"role": "root"}, "reader, writer, promoter, admin"),
        ({"project": "a/b"}, "the name of a project"),
        ({"group": None}, "is for everybody"),
        ({"groups": "ml"}, "it takes claims"),
    ],
)
def test_an_invalid_grant_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """A grant is for an issuer, for some of its callers, with a role, in a project."""
    table = {key: value for key, value in (GRANT | change).items() if value is not None}
    with pytest.raises(InvalidIssuerError, match=words):
        parse_issuers([COMPANY], [table], tmp_path)


def test_no_issuer_can_name_the_callers_of_another(tmp_path: Path) -> None:
    """Two issuers need different prefixes, so that the same claim does not name the same caller."""
    other = {"name": "ci", "url": "https://ci.example", "audience": "tallymark"}
    with pytest.raises(InvalidIssuerError, match="prefix"):
        parse_issuers([COMPANY, other], [], tmp_path)
    assert len(list(parse_issuers([COMPANY, other | {"prefix": "ci:"}], [], tmp_path))) == 2


def test_the_examples_of_the_guide_are_valid(tmp_path: Path) -> None:
    """The settings that the guide shows for a company, GitHub Actions and Kubernetes can be used as they are."""
    (shown,) = [each for each in blocks("service/README.md") if each.chapter == "Identity providers"]
    found = tomllib.loads(shown.text)
    issuers = parse_issuers(found["issuer"], found["grant"], tmp_path)
    assert list(issuers.by_name) == ["company", "github", "cluster"]
    github = issuers.by_name["github"]
    claims = {"repository": "acme/churn", "ref": "refs/heads/main", "sub": "repo:acme/churn:ref:refs/heads/main"}
    assert issuers.roles("github", issuers.relevant(github, claims)) == {"churn": Role.WRITER}
