"""A server of MLflow 1.x, 2.x or 3.x, read over its REST API.

It is read without MLflow's client, because newer clients add filters that make older servers return nothing.
"""

from __future__ import annotations

import base64
import configparser
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tallymark_server.importers.mlflow_records import (
    Counts,
    LoggedModelRecord,
    ModelRecord,
    PointRecord,
    RunRecord,
    Unread,
    VersionRecord,
    model_of,
    point_of,
    version_number,
    version_of,
)
from tallymark_server.importers.proxies import opener_for
from tallymark_server.importers.source_fields import micros, shown, text, texts
from tallymark_server.importers.source_model import CannotReadError, CorruptError, ForbiddenError, MissingError

API = "/api/2.0/mlflow/"
PAGE = 100
POINTS = 10_000
TIMEOUT = 30.0
ATTEMPTS = 3
MAX_ANSWER = 256 * 1024 * 1024
PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"


class UnsupportedError(CannotReadError):
    """The server does not support a request; an older form of it may work."""


class ServerSource:
    """The REST API at a URL."""

    limits: tuple[str, ...] = (
        "of the server: numbers that were deleted at the end of a model, which it does not return",
    )

    def __init__(self, url: str, headers: Mapping[str, str], context: ssl.SSLContext | None) -> None:
        self._url = url.rstrip("/")
        self._headers = dict(headers)
        self._open = opener_for(url, context).open
        self._experiments: dict[str, str] = {}

    def models(self) -> Iterator[ModelRecord | Unread]:
        """Yield every registered model, including prompts."""
        seen: set[str] = set()
        for raw in self._listed():
            where = f"model {raw.get('name')}"
            try:
                model = _model_of(raw)
            except CorruptError as error:
                yield Unread(where, str(error))
                continue
            if model.name not in seen:
                seen.add(model.name)
                yield model

    def versions(self, model: ModelRecord) -> Iterator[VersionRecord | Unread]:
        """Return the versions of the model by number."""
        # MLflow's filters have no escapes, so a name with both kinds of quotes cannot be queried.
        quote = next((quote for quote in "'\"" if quote not in model.name), None)
        asked = {"filter": f"name={quote}{model.name}{quote}"} if quote else {}
        found: list[VersionRecord | Unread] = []
        for raw in self._pages("model-versions/search", "model_versions", asked):
            if raw.get("name") != model.name:
                continue
            try:
                found.append(version_of(raw, texts(_list(raw, "tags"))))
            except CorruptError as error:
                found.append(Unread(f"version {model.name}/{raw.get('version')}", str(error)))
        yield from sorted(found, key=lambda one: one.number if isinstance(one, VersionRecord) else 0)

    def run(self, run_id: str) -> RunRecord:
        """Return the run. Raises MissingError, CorruptError or ForbiddenError."""
        raw = _dict(self._get("runs/get", run_id=run_id, run_uuid=run_id), "run")
        info, data = _dict(raw, "info"), _dict(raw, "data")
        points: list[PointRecord] = []
        for metric in _list(data, "metrics"):
            points += self._points(run_id, text(metric, "key"))
        return RunRecord(
            id=run_id,
            experiment=self._experiment(text(info, "experiment_id")),
            name=text(info, "run_name"),
            state=text(info, "status"),
            user=text(info, "user_id"),
            start=micros(info, "start_time") or 0,
            end=micros(info, "end_time") if info.get("end_time") else None,
            parameters=texts(_list(data, "params")),
            tags=texts(_list(data, "tags")),
            points=points,
        )

    def run_ids(self) -> Iterator[str]:
        """Yield the ids of all runs, including deleted ones."""
        experiments = [text(raw, "experiment_id") for raw in self._all_experiments()]
        for start in range(0, len(experiments), PAGE):
            asked = {"experiment_ids": experiments[start : start + PAGE], "run_view_type": "ALL", "max_results": 1000}
            token = ""
            while True:
                answer = self._post("runs/search", {**asked, "page_token": token} if token else asked)
                for raw in _list(answer, "runs"):
                    info = _dict(raw, "info")
                    yield text(info, "run_id", "run_uuid")
                token = text(answer, "next_page_token")
                if not token:
                    break

    def logged_model(self, model_id: str) -> LoggedModelRecord:
        """Return the logged model. Raises MissingError, CorruptError or ForbiddenError."""
        raw = _dict(self._get(f"logged-models/{urllib.parse.quote(model_id, safe='')}"), "model")
        info, data = _dict(raw, "info"), _dict(raw, "data")
        return LoggedModelRecord(
            location=text(info, "artifact_uri", "artifact_location"),
            parameters=texts(_list(data, "params")),
            tags=texts(_list(info, "tags")),
            points=[point_of(point) for point in _list(data, "metrics")],
        )

    def counts(self) -> Counts:
        """Return the numbers of models, by another order and page size, and of versions, if the server has them."""
        asked = {"order_by": "name DESC", "max_results": "37"}
        names = {shown(raw.get("name")) for raw in self._listed(asked)}
        try:
            versions = sum(1 for _ in self._pages("model-versions/search", "model_versions", {"max_results": "37"}))
        except (UnsupportedError, CorruptError):
            return Counts(models=len(names))
        return Counts(models=len(names), versions=versions)

    def _listed(self, asked: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        yield from self._pages("registered-models/search", "registered_models", asked or {})
        try:
            # Newer servers return prompts only on request; older ones do not support that request.
            yield from self._pages(
                "registered-models/search", "registered_models", {**(asked or {}), "filter": PROMPTS}
            )
        except (UnsupportedError, CorruptError):
            return

    def _all_experiments(self) -> Iterator[Mapping[str, Any]]:
        try:
            yield from self._pages("experiments/search", "experiments", {"view_type": "ALL"})
        except (UnsupportedError, MissingError):
            yield from self._pages("experiments/list", "experiments", {"view_type": "ALL"})

    def _points(self, run_id: str, key: str) -> Iterator[PointRecord]:
        asked = {"run_id": run_id, "run_uuid": run_id, "metric_key": key, "max_results": str(POINTS)}
        for raw in self._pages("metrics/get-history", "metrics", asked):
            yield point_of({"key": key, **raw})

    def _experiment(self, experiment_id: str) -> str:
        if experiment_id not in self._experiments:
            try:
                raw = _dict(self._get("experiments/get", experiment_id=experiment_id), "experiment")
                self._experiments[experiment_id] = text(raw, "name")
            except (MissingError, ForbiddenError):
                self._experiments[experiment_id] = experiment_id
        return self._experiments[experiment_id]

    def _pages(self, method: str, field: str, asked: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        token = ""
        seen: set[str] = set()
        while True:
            paging = {"page_token": token} if token else {}
            answer = self._get(method, **{"max_results": str(PAGE), **asked, **paging})
            yield from _list(answer, field)
            token = text(answer, "next_page_token")
            if not token or token in seen:
                return
            seen.add(token)

    def _get(self, method: str, **asked: str) -> Mapping[str, Any]:
        query = f"?{urllib.parse.urlencode(asked)}" if asked else ""
        return self._answer(urllib.request.Request(f"{self._url}{API}{method}{query}", headers=self._headers))  # noqa: S310 - http or https, as checked

    def _post(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = {**self._headers, "content-type": "application/json"}
        data = json.dumps(body).encode()
        return self._answer(urllib.request.Request(f"{self._url}{API}{method}", data, headers))  # noqa: S310 - as above

    def _answer(self, request: urllib.request.Request) -> Mapping[str, Any]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._open(request, timeout=TIMEOUT) as response:
                    return self._decoded(response.read(MAX_ANSWER + 1))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in (429, 502, 503, 504) or attempt == ATTEMPTS:
                        raise self._refusal(error) from None
            except (OSError, http.client.HTTPException) as error:
                if attempt == ATTEMPTS or isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                    reason = getattr(error, "reason", error)
                    raise CannotReadError(f"cannot reach {self._url}: {reason or type(reason).__name__}") from None
            time.sleep(attempt * 0.5)
        raise AssertionError("the last attempt returns or raises")

    def _decoded(self, data: bytes) -> Mapping[str, Any]:
        if len(data) > MAX_ANSWER:
            raise CannotReadError(f"an answer of {self._url} is larger than {MAX_ANSWER:,} bytes")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            raise CannotReadError(f"{self._url} is no MLflow server: its answer is no JSON") from None
        if not isinstance(answer, dict):
            raise CannotReadError(f"{self._url} is no MLflow server: its answer is no object")
        return answer

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        body = error.read(10_000)
        try:
            raw = json.loads(body)
        except (ValueError, RecursionError):
            raw = {}
        code = str(raw.get("error_code", "")) if isinstance(raw, dict) else ""
        message = str(raw.get("message", "")).splitlines()[0] if isinstance(raw, dict) and raw.get("message") else ""
        if error.code in (401, 403):
            return ForbiddenError(
                f"{self._url} refuses access ({error.code}); set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and"
                " MLFLOW_TRACKING_PASSWORD"
            )
        if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            return MissingError("it is not there")
        if (error.code < 500 and not code) or error.code == 501:
            return UnsupportedError(f"{self._url} is no MLflow server: it answers {error.code} to {API}")
        if error.code in (400, 404, 405):
            return UnsupportedError(f"{self._url} does not know a question of this import: {message or error.code}")
        return CannotReadError(f"{self._url} answers {error.code}: {message or error.reason}")


def opened_server(url: str) -> ServerSource:
    """Return the server at the URL, with the credentials in MLflow's variables. Raises CannotReadError."""
    parts = urllib.parse.urlsplit(url)
    headers: dict[str, str] = {}
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME") or parts.username
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or parts.password or ""
    if token:
        headers["authorization"] = f"Bearer {token}"
    elif user:
        credentials = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}"
        headers["authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    if parts.username:
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
        url = parts._replace(netloc=host).geturl()
    return ServerSource(url, headers, _tls())


def opened_databricks(profile: str) -> ServerSource:
    """Return the workspace registry of Databricks, by its variables or a profile. Raises CannotReadError."""
    host, token = os.environ.get("DATABRICKS_HOST"), os.environ.get("DATABRICKS_TOKEN")
    if profile or not (host and token):
        config = configparser.ConfigParser()
        config.read(Path.home() / ".databrickscfg")
        name = profile or "DEFAULT"
        host, token = (config.get(name, key, fallback=None) for key in ("host", "token"))
    if not host or not token:
        raise CannotReadError("Databricks needs DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile in ~/.databrickscfg")
    return ServerSource(host, {"authorization": f"Bearer {token}"}, _tls())


def _tls() -> ssl.SSLContext | None:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        return ssl._create_unverified_context()  # noqa: S323, SLF001 - the user has requested it with MLflow's own variable
    bundle = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    try:
        return ssl.create_default_context(cafile=bundle) if bundle else None
    except OSError as error:
        raise CannotReadError(f"MLFLOW_TRACKING_SERVER_CERT_PATH is {bundle!r}: {error.strerror}") from None


def _model_of(raw: Mapping[str, Any]) -> ModelRecord:
    aliases = {text(alias, "alias"): version_number(alias, "version") for alias in _list(raw, "aliases")}
    latest = [version_number(version, "version") for version in _list(raw, "latest_versions")]
    return model_of(raw, texts(_list(raw, "tags")), aliases, max(latest, default=0))


def _dict(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name, {})
    if not isinstance(value, dict):
        raise CorruptError(f"its {name} is no object")
    return value


def _list(raw: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise CorruptError(f"its {name} is no list of objects")
    return value
