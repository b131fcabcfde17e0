"""A task of a DAG: one function of `include`, with a connection to the registry.

What steps hand on to each other are dataclasses (`include.facts`); Airflow keeps them as JSON, which they are read from
and written to here and nowhere else.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import is_dataclass
from datetime import timedelta
from typing import Any, get_type_hints

import psycopg
from airflow import sdk
from airflow.sdk import TaskGroup
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pydantic import TypeAdapter

from include import registry
from include.facts import NothingToDo
from include.hosts import AgentError
from include.moves import servers
from transhumance_airflow import connections

INSTALLING = timedelta(hours=3)
"""So long a task may work on a machine; any other, as long as airflow_local_settings says."""

task: Any = sdk.task
"""Airflow's own. A step is called without what Airflow fills in, and with what earlier ones will give; its types know
neither, so the calls are not checked. What a step is given when it runs is."""

Registry = psycopg.Connection
"""The registry, to which every step has a connection as its first argument."""

log = logging.getLogger(__name__)


def step(
    *, kind: Any = task, refusal_is_final: bool = False, unless_given_up: bool = False, **settings: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Makes a task of a function whose first argument is a connection to the registry; its name is the task's id, its
    docstring what Airflow shows.

    `refusal_is_final`: a refusal ends the run, since no retry would change it. `unless_given_up`: the step is skipped
    when its `migration` was given up meanwhile; the way out is further down. `kind` and `settings` are Airflow's.
    """

    def made(function: Callable[..., Any]) -> Any:
        first, *others = inspect.signature(function).parameters.values()
        signature = inspect.Signature(others)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            types = get_type_hints(function)
            given = signature.bind(*args, **kwargs).arguments
            facts = {name: read(types[name], value) for name, value in given.items()}
            with connections.registry_connection() as conn, refusing() if refusal_is_final else nullcontext():
                try:
                    if unless_given_up:
                        servers.require_not_given_up(conn, facts["migration"])
                    return written(function(conn, **facts))
                except NothingToDo as why:
                    raise AirflowSkipException(str(why)) from None

        run.__signature__ = signature  # type: ignore[attr-defined]
        return kind(multiple_outputs=False, **settings)(run)

    return made


def read(kind: Any, value: Any) -> Any:
    """A value of this type, from what Airflow has kept of it."""
    return TypeAdapter(kind).validate_python(value)


def written(value: Any) -> Any:
    """What Airflow keeps of a value."""
    return TypeAdapter(type(value)).dump_python(value, mode="json") if is_dataclass(value) else value


def given_by(task_id: str) -> str:
    """What another task gave, read when a task runs. As an argument, the task itself would draw an arrow from it to
    each that is told."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}') }}}}"


def group(name: str, tooltip: str) -> TaskGroup:
    """A group of tasks in the graph; the tasks keep their own names."""
    return TaskGroup(name, prefix_group_id=False, tooltip=tooltip)


@contextmanager
def refusing() -> Iterator[None]:
    """A refusal inside ends the task with its sentence: no retry would change it. A lost connection does not."""
    try:
        yield
    except (registry.RegistryRefused, AgentError) as error:
        raise AirflowFailException(str(error)) from None


def log_sentences(sentences: list[str], level: int = logging.INFO) -> list[str]:
    """The sentences, after they were written to the task's log."""
    for sentence in sentences:
        log.log(level, sentence)
    return sentences


def log_text(text: str) -> str:
    """A text of several lines, after it was written to the task's log."""
    log.info("\n%s", text)
    return text
