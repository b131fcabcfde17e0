"""How Apache and nginx write words, quotes, comments and lines that go on: what is written is what is read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from include.agent.layouts.classic.reading import apache, nginx, pools

from .laid import laid

LETTERS = "ab/.*:\"'\\ \t{};#$=é"
ROUNDS = 300


def made_up(dice: random.Random, letters: str = LETTERS) -> str:
    return "".join(dice.choice(letters) for _ in range(dice.randint(0, 12)))


def quoted(word: str, sign: str) -> str:
    return sign + word.replace("\\", "\\\\").replace(sign, "\\" + sign) + sign


def test_apache_reads_the_words_that_were_written(tmp_path: Path) -> None:
    dice = random.Random(1)
    lines, meant = [], []
    for _ in range(ROUNDS):
        args = tuple(made_up(dice) for _ in range(dice.randint(1, 3)))
        spaces = dice.choice([" ", "\t", "  ", " \\\n  "])
        lines += [dice.choice(["# a comment", "", "   # not \\\n the end"])]
        lines += ["  Header " + spaces.join(quoted(arg, dice.choice("\"'")) for arg in args)]
        meant.append(args)
    server = laid(tmp_path, **{"etc/apache2/apache2.conf": "\n".join(lines)})
    said, _ = apache.read(server)
    assert [one.args for one in said] == meant
    assert server.notes.sentences() == []


def test_nginx_reads_the_words_that_were_written(tmp_path: Path) -> None:
    dice = random.Random(2)
    lines, meant = [], []
    for _ in range(ROUNDS):
        args = tuple(made_up(dice) for _ in range(dice.randint(1, 3)))
        spaces = dice.choice([" ", "\t", "\n", " # a comment; }\n"])
        lines += [f"add_header {spaces.join(quoted(arg, dice.choice(chr(34) + chr(39))) for arg in args)} ; # {{"]
        meant.append(args)
    server = laid(tmp_path, **{"etc/nginx/nginx.conf": "http {" + "\n".join(lines) + "\n}"})
    (http,), _ = nginx.read(server)
    assert [one.args for one in http.inside] == meant
    assert server.notes.sentences() == []


@pytest.mark.parametrize("reader", [apache, nginx])
def test_nothing_that_is_written_makes_a_reader_fail(tmp_path: Path, reader) -> None:
    dice = random.Random(3)
    letters = LETTERS + "\n<>/!${}\0\x1b"
    words = ["<VirtualHost *:80>", "</VirtualHost>", "<IfModule x>", "</IfModule>", "server {", "http {", "Define a b"]
    text = "\n".join(made_up(dice, letters) + dice.choice(words) for _ in range(20 * ROUNDS))
    reader.read(laid(tmp_path, **{reader.MAIN[1:]: text}))


def test_lines_have_the_number_of_their_beginning(tmp_path: Path) -> None:
    server = laid(
        tmp_path,
        **{
            "etc/apache2/apache2.conf": "# one\\\n two\nA x \\\n y\n\nB z\n",
            "etc/nginx/nginx.conf": "# one\na 'x\n y';\nb\n z;\n",
        },
    )
    assert [(one.name, one.args, one.place.line) for one in apache.read(server)[0]] == [
        ("a", ("x", "y"), 3),
        ("b", ("z",), 6),
    ]
    assert [(one.name, one.args, one.place.line) for one in nginx.read(server)[0]] == [
        ("a", ("x\n y",), 2),
        ("b", ("z",), 4),
    ]


@pytest.mark.parametrize(
    "condition, met",
    [
        ("IfModule ssl_module", True),
        ("IfModule mod_ssl.c", True),
        ("IfModule !mod_ssl.c", False),
        ("IfModule mod_php.c", False),
        ("IfModule !mod_php8.c", True),
        ("IfModule core.c", True),
        ("IfDefine Mine", True),
        ("IfDefine !Mine", False),
        ("IfDefine Theirs", False),
        ("IfVersion >= 2.4", True),
        ("IfVersion < 2.4", False),
        ("IfVersion !< 2.4", True),
        ("IfVersion 2.2", False),
        ("IfFile /etc/hostname", True),
        ("IfFile /etc/nothing", False),
        ("IfFile ports.conf", False),
    ],
)
def test_apaches_conditions(tmp_path: Path, condition: str, met: bool) -> None:
    name = condition.split()[0]
    text = (
        f"LoadModule ssl_module /x/mod_ssl.so\nDefine Mine\n<{condition}>\n<IfModule core.c>\nListen 1\n</IfModule>\n"
    )
    server = laid(tmp_path, **{"etc/apache2/apache2.conf": f"{text}</{name}>\nListen 2\n", "etc/hostname": ""})
    found, _ = apache.read(server)
    assert [one.first for one in found if one.name == "listen"] == (["1", "2"] if met else ["2"])


def test_what_apache_defines_is_put_in(tmp_path: Path) -> None:
    text = 'Define who "bob"\nDefine home /home/${who}\nA ${home}/x "${home} y" ${nothing} ${APACHE_LOG_DIR}\n'
    text += "UnDefine who\nA ${who}\n"
    envvars = "SUFFIX=\nexport APACHE_LOG_DIR=/var/log/apache2$SUFFIX\n"
    server = laid(tmp_path, **{"etc/apache2/apache2.conf": text, "etc/apache2/envvars": envvars})
    said, _ = apache.read(server)
    assert [one.args for one in said if one.name == "a"] == [
        ("/home/bob/x", "/home/bob y", "${nothing}", "/var/log/apache2"),
        ("${who}",),
    ]


def test_pools_of_php(tmp_path: Path) -> None:
    text = """; a comment
[global]
include = /etc/php/8.2/fpm/pool.d/*.conf
[one]
user='bob' ; his
listen = "/run/php/$pool;1.sock"
[two]
prefix = /srv/two/
listen = sockets/$pool.sock
user = "$pool"
[three]
user = x
nonsense
"""
    own = "[Service]\nExecStart=/opt/php-8.1/sbin/php-fpm -F --fpm-config /opt/php-8.1/etc/php-fpm.conf\n"
    server = laid(
        tmp_path,
        **{
            "etc/php/8.2/fpm/php-fpm.conf": text,
            "etc/php/8.2/fpm/pool.d/four.conf": "[four]\nuser = y\nlisten = 9000\n",
            "etc/systemd/system/php-8.1-fpm.service": own,
            "opt/php-8.1/etc/php-fpm.conf": "[old]\nuser = z\nlisten = [::1]:9001\n",
        },
    )
    assert [(pool.name, pool.user, pool.listen, pool.version) for pool in pools.read(server)] == [
        ("four", "y", "9000", "8.2"),
        ("one", "bob", "/run/php/one;1.sock", "8.2"),
        ("two", "two", "/srv/two/sockets/two.sock", "8.2"),
        ("old", "z", "[::1]:9001", "8.1"),
    ]
    assert server.notes.sentences() == [
        "/etc/php/8.2/fpm/php-fpm.conf:13: 'nonsense' is no setting of php-fpm's.",
        "/etc/php/8.2/fpm/php-fpm.conf:11: the pool 'three' listens nowhere.",
    ]
