"""What a server says of itself."""

from __future__ import annotations

from pathlib import Path

from include.agent.unclaimed import claims


def test_whatever_lies_beside_the_homes_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    for name in ("alba", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "alba" / "index.html").write_text("alba")
    (tmp_path / "aquota.user").write_bytes(bytes(64))
    (tmp_path / "backup.tar").write_bytes(bytes(64))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert claims.in_use(tmp_path) == {"alba", "backup.tar", "gone"}
