"""Many servers are asked at once what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from include.agent import verbs
from include.agent.verbs.described import Description
from include.hosts import AgentError, Host, HostUnreachable

_AT_ONCE = 16


def descriptions(hosts: Mapping[str, Host]) -> tuple[dict[str, Description], list[str]]:
    """The description of each server by its name, and a sentence on each that does not give one."""

    def ask(name: str) -> Description | str:
        try:
            return hosts[name].call(verbs.Describe())
        except (HostUnreachable, AgentError) as error:
            return f"{name}: {error}"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(hosts, pool.map(ask, hosts), strict=True))
    given = {name: answer for name, answer in answers.items() if not isinstance(answer, str)}
    return given, [answer for answer in answers.values() if isinstance(answer, str)]
