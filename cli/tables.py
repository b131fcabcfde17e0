"""Answers of the API as tables. Nothing in an answer is taken for markup."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

COLOURS = {"customer": "yellow", "host": "red", "nobody": "green"}
"""By who must act."""


def table(title: str, *columns: str) -> Table:
    """An empty table."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def add(to: Table, *cells: Any, style: str | None = None) -> None:
    """A row; cells are shown as they are."""
    to.add_row(*(Text("-" if cell is None else str(cell)) for cell in cells), style=style)


def when(text: str | None) -> str | None:
    """A time of the API, in the terminal's zone."""
    return None if text is None else f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def fields(title: str, **pairs: Any) -> Table:
    """Names and values, one a line."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    for name, value in pairs.items():
        add(made, name.replace("_", " "), value)
    return made


def overview(answer: dict[str, Any]) -> Group:
    """Servers, and accounts."""
    servers = table("Servers", "server", "kind", "runs", "state", "waits for", "next")
    for server in answer["servers"]:
        cells = (server[key] for key in ("server", "kind", "infrastructure", "state", "waits_for", "next"))
        add(servers, *cells, style=COLOURS[server["waits_for"]])
    return Group(servers, "", _accounts(answer["accounts"]))


def _accounts(rows: list[dict[str, Any]]) -> Table:
    accounts = table("Accounts", "account", "lives on", "state", "waits for", "next")
    for row in rows:
        cells = (row[key] for key in ("account", "server", "state", "waits_for", "next"))
        add(accounts, *cells, style=COLOURS[row["waits_for"]])
    return accounts


def status(answer: dict[str, Any]) -> dict[str, Any]:
    """What is told of everything."""
    progress = answer["progress"]
    pairs = {
        "state": f"{answer['state']}: {answer['sentence']}",
        "next": answer["next"],
        "waits_for": answer["waits_for"],
    }
    if progress:
        pairs["progress"] = f"{progress['done']} of {progress['of']}"
        pairs["expected_end"] = when(progress["expected_end"])
    return pairs


def unclaimed(answer: dict[str, Any]) -> Table:
    """What is no account's, and who has signed for it."""
    made = table("No account's", "kind", "name", "what it is", "since", "signed by", "reason")
    for row in answer["unclaimed"]:
        cells = (row["kind"], row["name"], row["sentence"], when(row["first_seen"]), row["signed_by"], row["reason"])
        add(made, *cells, style=None if row["signed_by"] else COLOURS["host"])
    return made


def server(answer: dict[str, Any]) -> Group:
    """One server."""
    parts: list[Any] = [fields(answer["server"], customer=answer["customer"], plan=answer["plan"], **status(answer))]
    if transit := answer["transit"]:
        place = transit["queue"]
        pairs = {
            "transit": transit["transit"],
            "queue": place and f"{place['place']} of {place['of']}, expected {when(place['expected']) or 'unknown'}",
            "handed_over": when(transit["handed_over_at"]),
            "free_until": when(transit["free_until"]),
        }
        parts += ["", fields("Transit", **pairs)]
    if migration := answer["migration"]:
        steps = table(f"{migration['entry']}, run {migration['run']['url']}", "reached", "step", "")
        for step in migration["path"]:
            add(steps, when(step["reached_at"]), step["state"], step["sentence"])
        parts += ["", steps]
    return Group(*parts, "", _accounts(answer["accounts"]))


def account(answer: dict[str, Any]) -> Group:
    """One account and what is open to it."""
    where = {"lives_on": answer["server"], "belongs_to": answer["home_server"], "sites": ", ".join(answer["domains"])}
    parts: list[Any] = [fields(answer["account"], **where, **status(answer))]
    if test := answer["test"]:
        pairs = {"entry": test["entry"], "state": test["state"], "said": test["sentence"]}
        pairs |= {"addresses": ", ".join(test["names"].values()) or None, "until": when(test["expires_at"])}
        parts += ["", fields("Newest test", **pairs)]
    if proof := answer["proof"]:
        equal = "yes" if proof["equal"] else "NO"
        compared = ", ".join(f"{number:,} {unit}" for unit, number in proof["counts"].items())
        pairs = {"verified": "yes" if proof["verified"] else "no", "equal": equal, "compared": compared}
        parts += ["", fields("Last move", **pairs, not_carried="\n".join(proof["left"]) or None)]
    migrations = table("Open migrations", "entry", "title", "deadline", "mandatory", "can it be performed now?")
    for migration in answer["migrations"]:
        mandatory = "yes" if migration["mandatory"] else "no"
        add(
            migrations,
            migration["entry"],
            migration["title"],
            migration["deadline"],
            mandatory,
            migration["why_not"] or "yes",
        )
    return Group(*parts, "", migrations)


def request(answer: dict[str, Any]) -> Table:
    """What was asked for."""
    run = answer["run"]
    pairs = {"request": answer["id"], "run": run["url"], "state": run["state"], "asked_by": answer["requested_by"]}
    return fields(f"{answer['action']} {answer['subject']}", **pairs)


def queue(answer: dict[str, Any]) -> Table:
    """Who waits."""
    made = table("Queue", "place", "server", "customer", "plan", "asked for", "transit expected")
    for waiting in answer["waiting"]:
        place = f"{waiting['place']} of {waiting['of']}"
        times = when(waiting["asked_for_at"]), when(waiting["expected"])
        add(made, place, waiting["server"], waiting["customer"], waiting["plan"], *times)
    return made


def charges(answer: dict[str, Any]) -> Group:
    """What it costs."""
    bill = table("Charged", "day", "what", "amount", "why")
    for charge in answer["charges"]:
        add(bill, charge["day"], charge["kind"], f"{charge['amount']} {charge['currency']}", charge["reason"])
    sums = {"charged": f"{answer['charged']} {answer['currency']}", "free_until": when(answer["free_until"])}
    return Group(fields(answer["server"], **sums, forecast=answer["sentence"]), "", bill)


def campaigns(answer: dict[str, Any]) -> Table:
    """Campaigns."""
    made = table("Campaigns", "id", "entry", "state", "began", "accounts", "not moved", "why")
    for campaign in answer["campaigns"]:
        accounts = ", ".join(f"{count} {state}" for state, count in sorted(campaign["accounts"].items()))
        add(
            made,
            campaign["id"],
            campaign["entry"],
            campaign["state"],
            when(campaign["began_at"]),
            accounts,
            ", ".join(campaign["not_moved"]),
            campaign["why"],
        )
    return made


def doctor(answer: dict[str, Any]) -> Table:
    """Each requirement, met or what to do; what is not met is red."""
    made = table("Requirements", "server", "requirement", "met", "what to do", "seen")
    for each in answer["requirements"]:
        cells = each["server"], each["requirement"], "yes" if each["met"] else "NO", each["sentence"]
        add(made, *cells, when(each["judged_at"]), style=None if each["met"] else "red")
    return made


def discovered(answer: dict[str, Any]) -> Group:
    """Who lives on a server, and what is not understood there; what cannot go over yet is red."""
    made = table("Accounts", "account", "home", "host names", "adopted", "in the way")
    for each in answer["accounts"]:
        cells = each["name"], each["home"], ", ".join(each["hosts"]), "yes" if each["adopted"] else "no"
        add(made, *cells, "\n".join(each["unfit"]), style="red" if each["unfit"] else None)
    return Group(made, *(Text(sentence, style="yellow") for sentence in answer["unclear"]))


def agents(answer: dict[str, Any]) -> Table:
    """Which server has which agent."""
    made = table("Agents", "server", "present", "agent", "seen")
    for each in answer["agents"]:
        cells = each["server"], "yes" if each["met"] else "NO", each["sentence"]
        add(made, *cells, when(each["judged_at"]), style=None if each["met"] else "red")
    return made


def inventory(answer: dict[str, Any]) -> Group:
    """What was changed, or would be, a line each."""
    lines = [Text(change["line"], style="red" if change["refused"] else "") for change in answer["changes"]]
    return Group(*lines, Text(f"{'Applied: ' if answer['applied'] else ''}{answer['sentence']}", style="bold"))


def event(answer: dict[str, Any]) -> Text:
    """One event, a line."""
    at = datetime.fromisoformat(answer["at"]).astimezone()
    return Text(f"{at:%H:%M:%S}  {answer['account'] or answer['server'] or '-':16}  {answer['sentence']}")
