"""How many versions projects have, for their quotas: counted again and again, since other servers create some too."""

from __future__ import annotations

import asyncio

from tallymark_server.access.limits import ProjectQuotas
from tallymark_server.domain.errors import ProjectNotFound, RegistryError
from tallymark_server.registry import Registry
from tallymark_server.snapshots import ListOptions

# The seconds between two counts.
INTERVAL = 60.0
_PAGE = 1000


async def keep_counting(quotas: ProjectQuotas, registry: Registry) -> None:
    """Count the versions again and again, without end."""
    while True:
        await asyncio.sleep(INTERVAL)
        await count_versions(quotas, registry)


async def count_versions(quotas: ProjectQuotas, registry: Registry) -> None:
    """Count the versions of each project with a quota of them."""
    for project in await _projects(quotas.counted, registry):
        try:
            quotas.set_versions(project, await _count(registry, project))
        except ProjectNotFound:
            quotas.set_versions(project, 0)
        except RegistryError:
            return  # the storage is away; it is counted again later


async def _projects(wanted: list[str], registry: Registry) -> list[str]:
    if "*" not in wanted:
        return wanted
    names, token = list[str](), ""
    while True:
        try:
            found, token = await registry.projects(_PAGE, token)
        except RegistryError:
            return []
        names += [project.name for project in found]
        if not token:
            return names


async def _count(registry: Registry, project: str) -> int:
    count, token = 0, ""
    while True:
        page = await registry.models(project, ListOptions(page_size=_PAGE, page_token=token, deleted=True))
        count += sum(model.last_number for model in page.items)
        token = page.next_page_token
        if not token:
            return count
