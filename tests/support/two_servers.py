"""Two servers in two folders: the agent's real fence, state files and pairs, with everything below them left out."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.agent import boot, protocol
from include.agent.account import accounts
from include.agent.account.accounts import Account, State, put_state, state_of
from include.agent.channel import pairing, peer
from include.agent.host import addresses, operations, processes, server_role, system
from include.agent.layouts.native import front, mail, php
from include.agent.move import deadline, fence, forward, redirect, serving, shell, stores, switch

MODULES = (system, accounts, boot, deadline, fence, operations, pairing, peer, protocol, shell, switch)


def statement(name: str, uid: int = 2001) -> dict[str, Any]:
    """The file of an account that has nothing but its home."""
    nothing: dict[str, Any] = {"sites": [], "postgresql": {}, "mariadb": {}, "mail": {}}
    return {"account": name, "uid": uid, "gid": uid, "home": f"/home/{name}", **nothing}


class TwoServers:
    """Whichever server is `at` is the one that the agent's modules see. `opened`: whom it let in, in order."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = tmp_path, monkeypatch
        self.opened: list[str] = []
        self.armed: list[str] = []
        self.ran: list[list[str]] = []
        for module in MODULES:
            if hasattr(module, "failpoint"):
                monkeypatch.setattr(module, "failpoint", lambda _name: None)
            if hasattr(module, "run"):
                monkeypatch.setattr(module, "run", self._run)
        nothing = lambda *_, **__: None  # noqa: E731
        monkeypatch.setattr(system, "shadow_fields", lambda _name: ("!", ""))
        for module, names in {
            system: ("set_expiry", "bring_crontab_back", "set_crontab_aside", "create_user"),
            processes: ("end_all",),
            front: ("set_entry", "render_sites", "render_maps"),
            mail: ("follow", "render", "flush"),
            php: ("start", "stop", "warm"),
            redirect: ("open_sockets", "restore"),
            addresses: ("accept_known",),
            server_role: ("refuse_to_serve", "domain"),
            boot: ("_tidy",),
            deadline: ("disarm",),
            pairing: ("_rewrite_keys",),
        }.items():
            for name in names:
                monkeypatch.setattr(module, name, nothing)
        monkeypatch.setattr(forward.FILES, "finish", nothing)
        for engine in stores.ENGINES:
            for name in ("hold", "unhold", "finish", "discard"):
                monkeypatch.setattr(engine, name, nothing)
        monkeypatch.setattr(switch, "STORES", ())
        monkeypatch.setattr(deadline, "arm", lambda name, _seconds: self.armed.append(name))
        for opens in ("open_account", "start_processes"):
            monkeypatch.setattr(serving, opens, lambda account: self.opened.append(account.name))
        monkeypatch.setattr(serving, "show_all", lambda: None)
        monkeypatch.setattr(pairing, "CONTROLS", tmp_path / "controls")

    def _run(self, argv: list[str], **_: Any) -> SimpleNamespace:
        self.ran.append(argv)
        return SimpleNamespace(stdout=b"", returncode=0)

    def at(self, server: str) -> TwoServers:
        base = self.folder / server
        for module in MODULES:
            for name, path in (("STATE", base / "var"), ("RUNTIME", base / "run"), ("CONFIG", base / "etc")):
                if hasattr(module, name):
                    self.monkeypatch.setattr(module, name, path)
        (base / "etc" / "accounts").mkdir(parents=True, exist_ok=True)
        return self

    def serve(self, name: str, uid: int = 2001) -> None:
        accounts.save(Account.from_json(statement(name, uid)))
        put_state(name, State("serving", epoch=1))

    def pair(self, move: str, account: str, epoch: int) -> None:
        """What `pair` and the first contact leave behind on the source, without a key."""
        directory = pairing.directory(move)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "source.json").write_text(json.dumps({"account": account, "epoch": epoch, "proof": "p"}))
        (directory / "peer.json").write_text(json.dumps({"address": "10.0.0.2", "host_keys": ["k"]}))

    def receive(self, move: str, account: str, epoch: int) -> None:
        shell.receive(Account.from_json(statement(account)), move, epoch)

    @property
    def alice(self) -> State:
        return state_of("alice")

    def state_file(self, name: str) -> Path:
        return accounts.STATE / "accounts" / name / "state.json"
