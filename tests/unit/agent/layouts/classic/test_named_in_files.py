"""A person's files are looked through for names and passwords: whatever lies there."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from include.agent.layouts.classic.reading import keepers, named_in_files
from include.agent.layouts.classic.reading.candidates import near
from include.agent.layouts.classic.reading.named_in_files import Look, look_into, read
from include.agent.layouts.classic.reading.users import User

from .laid import laid

ME = os.geteuid()


def candidates(text: str, name: str = "wp") -> list[str]:
    return [*dict.fromkeys(value for _, value in sorted(near(text, [text.index(name)])))]


@pytest.mark.parametrize(
    ("text", "password"),
    [
        (r"""define('DB_USER', 'wp'); define('DB_PASSWORD', 'it\'s \\ $x "q" #;');""", r"""it's \ $x "q" #;"""),
        (r"""$u = "wp"; $p = "a\"b\$c\x41\u{e9}\101\n";""", 'a"b$cAéA\n'),
        ("// don't touch\n$u='wp'; // it's him\n$p='pa ss'; // isn't it\n", "pa ss"),
        ("DB_USERNAME=wp\nDB_PASSWORD=a=b:c#d\n", "a=b:c#d"),
        ("DB_USERNAME=wp\nDB_PASSWORD=abc # mine\n", "abc"),
        ("DB_USERNAME=wp\nDB_PASSWORD==:x\n", "=:x"),
        ('DB_USERNAME=wp\nDB_PASSWORD="a b\\"c"\n', 'a b"c'),
        ("[client]\nuser = wp\npassword = se;cret\n", "se;cret"),
        ("user: wp\npassword: 'it''s'\n", "it's"),
        ("user: wp\npassword: p w  # x\n", "p w"),
        ('{"user": "wp", "password": "\\u00e9\\/x"}', "é/x"),
        ("url: mysql://wp:p%40ss%2Fw@db.example:3306/wp?charset=utf8\n", "p@ss/w"),
        ("url=postgres://wp:p@ss@localhost/wp\n", "p@ss"),
        ("localhost:5432:*:wp:a\\:b\\\\c\n", "a:b\\c"),
        ("<user>wp</user>\n<password>a&amp;b</password>\n", "a&b"),
        ('<db user="wp" password="a&lt;b"/>', "a<b"),
        ("db.user=wp\ndb.password=a\\=b\\:c\n", "a=b:c"),
        ("SetEnv DB_USER wp\nSetEnv DB_PASSWORD s3cr3t\n", "s3cr3t"),
        ("mysqli_connect('localhost', 'wp', 'x-1', 'shop');", "x-1"),
        ("new PDO('mysql:host=localhost;dbname=wp', 'shop', `x-1`)", "x-1"),
        ("'user' => 'wp',\n'pass' => 'geheim',\n", "geheim"),
        ("$u='wp';\n$p='\udcfcml';\n", "\udcfcml"),
    ],
)
def test_what_is_written_there_is_a_candidate_in_each_way_that_it_is_meant(text: str, password: str) -> None:
    assert password in candidates(text)


def test_candidates_are_near_and_those_of_passwords_first() -> None:
    far = "x = 'far'\n" + "#\n" * 10_000
    text = f"{far}a = 'one'\nuser = 'wp'\n{'b = 1' * 9}\npassword = 'this'\n{'#' * 10_000}\nz = 'far2'\n"
    found = candidates(text)
    assert "this" in found[:6] and "one" in found and "far" not in found and "far2" not in found


def write(folder: Path, **files: Any) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))


def looked(folder: Path, *names: str, seconds: float = 60, not_below: tuple[str, ...] = ()) -> Look:
    return read(str(folder), names or ("wp",), ME, not_below, seconds)


KEPT = "user='wp'\npassword='x-1'\n"


def test_a_name_is_a_whole_word(tmp_path: Path) -> None:
    write(tmp_path, **{"a.php": "wp-content wp_x xwp wp2 $wp éwp my-wp", "b.ini": "c1_herders=1"})
    assert looked(tmp_path, "wp", "herders", "c1", "content").seen == {}
    write(
        tmp_path,
        **{"c.env": "a:my db;", "d.yml": "x: c1_herders", "e.php": "'mysql:dbname=wp;host=x'", "f.py": "'o.k'"},
    )
    assert {*looked(tmp_path, "wp", "my db", "c1_herders", "o.k", "y d").seen} == {"wp", "my db", "c1_herders", "o.k"}


def test_only_small_texts_of_settings_are_read_and_nothing_is_followed(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    write(outside, **{"secret.ini": KEPT})
    write(
        home,
        **{
            "picture.png": KEPT,
            "binary.php": b"\x7fELF\0" + KEPT.encode(),
            "large.php": KEPT + "#" * named_in_files.MAX_FILE,
            "empty.php": "",
            ".git/config.ini": KEPT,
            "node_modules/a/b.json": KEPT,
        },
    )
    (home / "link.php").symlink_to(outside / "secret.ini")
    (home / "shadow.php").symlink_to("/etc/shadow")
    (home / "folder").symlink_to(outside)
    (home / "loop.php").symlink_to("loop.php")
    os.mkfifo(home / "pipe.php")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(home / "socket.php"))
    os.truncate(home / "picture.png", 1 << 40)
    with (home / "sparse.php").open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    began = time.monotonic()
    assert looked(home) == Look()
    assert time.monotonic() - began < 5
    server.close()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig", "cp1252"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.php").write_bytes("// Größe\r\n$u = 'wp';\r\n$p = 'grün';\r\n".encode(encoding))
    (found,) = looked(tmp_path).seen.values()
    expected = "grün" if encoding.startswith("utf") else b"gr\xfcn".decode("utf-8", "surrogateescape")
    assert expected in found.passwords


def test_a_file_of_many_strings_and_many_files_stay_within_bounds(tmp_path: Path) -> None:
    strings = "wp " + "'a'," * (named_in_files.MAX_FILE // 4 - 10)
    write(tmp_path, **{"a.php": strings, "b.php": "wp '" * (named_in_files.MAX_FILE // 4)})
    write(tmp_path, **{f"c/{n}.php": f"'wp' {n} 'pass{n}' 'more{n}'" for n in range(2000)}, **{"z.env": KEPT})
    began = time.monotonic()
    (found,) = looked(tmp_path).seen.values()
    assert len(found.passwords) <= named_in_files.MAX_CANDIDATES and "x-1" in found.passwords
    assert time.monotonic() - began < 20


def test_files_without_end_end_the_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_in_files, "MAX_ENTRIES", 500)
    for n in range(600):
        (tmp_path / f"{n}_.ini").touch()
    assert looked(tmp_path).unfinished
    assert looked(tmp_path, seconds=0).unfinished
    deep = tmp_path / "deep" / "/".join("d" * 40)
    write(deep, **{"a.php": KEPT})
    monkeypatch.undo()
    assert looked(tmp_path) == Look(unfinished=True)


@pytest.mark.skipif(ME != 0, reason="only root gives files away")
def test_a_neighbours_file_names_but_keeps_no_password(tmp_path: Path) -> None:
    write(tmp_path, **{"theirs.php": KEPT, "neighbour/a.php": KEPT})
    os.chown(tmp_path / "theirs.php", 4343, 4343)
    below = (str(tmp_path / "neighbour"),)
    look = read(str(tmp_path), ["wp"], 4242, below, 60)
    assert look.seen["wp"].file == str(tmp_path / "theirs.php") and look.seen["wp"].passwords == []
    os.chown(tmp_path / "theirs.php", 4242, 4242)
    assert "x-1" in read(str(tmp_path), ["wp"], 4242, below, 60).seen["wp"].passwords


def person(name: str, number: int, home: str) -> User:
    return User(name, number, number, home, "/bin/sh")


def kept(tree: Any, *persons: User, folders: dict[str, list[str]] | None = None) -> keepers.Kept:
    locks = {"mariadb wp@localhost": ("wp", lambda password: password == "x-1")}
    return keepers.kept(persons, folders or {}, ["wp"], locks, tree, look_into)


@pytest.mark.skipif(ME != 0, reason="only root makes mounts and gives files away")
def test_in_the_sandbox_the_look_has_the_persons_rights_and_no_more(tmp_path: Path) -> None:
    """What the person cannot read, reach or see is not found, wherever a home and a site's folder lead."""
    secret = "home/web2/web/config.php"
    mine = {"home/web1/a.php": KEPT, "home/web3/b.php": "", "srv/shop/c.php": KEPT, "srv/closed/shop/c.php": KEPT}
    tree = laid(tmp_path, **mine, **{secret: KEPT, "home/web4/roots.php": KEPT, "home/web4/own.php": "wp"})
    root = Path(tree.on_disk("/"))
    for name, number in (("home/web1", 4241), ("home/web2", 4242), ("home/web3", 4243), ("home/web4", 4244)):
        for at, folders, files in os.walk(root / name):
            for each in (at, *(os.path.join(at, one) for one in (*folders, *files))):
                os.chown(each, number, number)
    os.chmod(root / "home/web2", 0o700)  # and what lies in it is for everybody to read
    os.chown(root / "home/web4/roots.php", 0, 0)
    os.chmod(root / "home/web4/roots.php", 0o600)
    os.chmod(root / "srv/closed", 0o700)
    os.chown(root / "srv/closed/shop", 4243, 4243)
    os.symlink(str(root / "home/web2/web"), root / "home/web3/site")
    os.chown(root / "srv/shop", 4241, 4241)
    persons = [person(f"web{n}", 4240 + n, f"/home/web{n}") for n in (1, 2, 3, 4)]
    sites = {"web3": ["/home/web3/site", "/srv/shop", "/srv/closed/shop", "/home/web2/web"], "web1": ["/srv/shop"]}
    found = kept(tree, *persons, folders=sites)
    assert found.keepers == {"mariadb wp@localhost": {"web1", "web2"}}
    assert found.named["web3"] == {} and found.named["web4"] == {"wp": str(root / "home/web4/own.php")}
    assert found.unfinished == {"web3"}


def test_folders_where_somebody_could_lead_root_elsewhere_are_not_looked_into(tmp_path: Path) -> None:
    tree = laid(tmp_path, **{"srv/open/web1/a.php": KEPT, "etc/app/a.php": KEPT, "home/web1/a.php": KEPT})
    os.chmod(tree.on_disk("/srv/open"), 0o1777)
    asked: list[str] = []

    def look(folder: str, *_: Any) -> Look:
        asked.append(folder)
        return Look()

    me = User("web1", max(ME, 4242), 4242, "/home/web1", "")
    sites = {"web1": ["/srv/open/web1", "/etc/app", "/", "/gone", "/home/web1/web", "/home/../etc"]}
    found = keepers.kept([me], sites, ["wp"], {}, tree, look)
    assert asked == [tree.on_disk("/home/web1")] and found.unfinished == {"web1"}


def test_what_the_look_tells_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        b"",
        b"[]",
        b'{"seen": 5, "unfinished": false}',
        b'{"unfinished": false, "seen": [["other", "/x", []], ["wp", 5, []], 7, ["wp", "/x", [1, "a"]]]}',
    ]
    for answer in answers:
        code = f"import sys; sys.stdout.buffer.write({answer!r})"
        monkeypatch.setattr(named_in_files, "python_argv", lambda *_, code=code: ["/usr/bin/python3", "-c", code])
        look = look_into("/home/x", 4242, 4242, ["wp"], [], 10)
        assert look.unfinished
        assert [each.passwords for each in look.seen.values()] in ([], [["a"]])
    monkeypatch.setattr(named_in_files, "_MAX_OUTPUT", 1000)
    endless = "while 1: print('x' * 4096)"
    monkeypatch.setattr(named_in_files, "python_argv", lambda *_: ["/usr/bin/python3", "-c", endless])
    assert look_into("/home/x", 4242, 4242, ["wp"], [], 10) == Look(unfinished=True)


def test_a_lock_that_takes_long_is_not_tried_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = laid(tmp_path, **{"home/web1/a.php": KEPT})
    monkeypatch.setattr(keepers, "_SECONDS_TO_TRY", 0.2)
    many = [str(n) for n in range(1000)]

    def look(*_: Any) -> Look:
        return Look({"wp": named_in_files.Seen("/x", many)})

    def slow(_password: str) -> bool:
        time.sleep(0.05)
        return False

    found = keepers.kept([person("web1", ME or 4242, "/home/web1")], {}, ["wp"], {"x": ("wp", slow)}, tree, look)
    assert found.keepers == {} and found.unfinished == {"web1"} and json.dumps(found.named)
