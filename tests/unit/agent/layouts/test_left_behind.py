"""What an account has outside its home that does not come over is told."""

from pathlib import Path

import pytest

from include.agent.account.accounts import Account
from include.agent.layouts import reboot_lines
from tests.support.account_files import FILE

ALICE = Account.from_json(FILE)


def test_mail_to_the_user_itself_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_AT_JOBS", "_MAIL_OF_USERS"):
        monkeypatch.setattr(reboot_lines, name, tmp_path / name)
    assert reboot_lines.left_behind(ALICE) == []
    (tmp_path / "_MAIL_OF_USERS").mkdir()
    box = tmp_path / "_MAIL_OF_USERS" / ALICE.name
    box.touch()
    assert reboot_lines.left_behind(ALICE) == []
    box.write_text("From cron")
    (told,) = reboot_lines.left_behind(ALICE)
    assert f"Mail to {ALICE.name} itself" in told and f"9 bytes in {box}" in told
