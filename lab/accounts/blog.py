"""The account `blog`: a WordPress with posts, users, uploads and comments on MariaDB."""

from __future__ import annotations

import json

from lab.accounts.certificates import put_certificates
from lab.accounts.filling import CONTENT, Filled, Server, account_file, new_password
from lab.accounts.wordpress import archive

NAME, UID = "blog", 2001
DATABASE = "blog_wp"
SITE_USER = ("blog_wp", "localhost")
REPORT_USER = ("blog report", "%")
"""The customer's own second user, for reports from elsewhere; its name has a space, as some have."""
POSTS, USERS, UPLOADS, COMMENTS = 200, 25, 30, 400


def fill(server: Server) -> Filled:
    """Creates and fills the account: an installed WordPress that answers on https://blog.example/."""
    statement = account_file(
        NAME,
        UID,
        mariadb={
            "users": [{"user": user, "host": host} for user, host in (SITE_USER, REPORT_USER)],
            "databases": [DATABASE],
        },
    )
    passwords = {SITE_USER: new_password(), REPORT_USER: new_password(), "admin": new_password()}
    tree = archive(server.cache)
    put_certificates(server, statement)
    server.create(statement)

    home = statement["home"]
    root = f"{home}/{statement['sites'][0]['root']}"
    server.unpack_as(NAME, root, tree.read_bytes())
    server.run("mariadb", "--batch", input=_users(passwords))
    server.write_as(NAME, root, {"wp-config.php": _config(passwords[SITE_USER])}, mode=0o600)
    server.write_as(NAME, root, {"visit.php": (CONTENT / "blog/visit.php").read_bytes()})
    settings = {
        "root": root,
        "url": f"https://{NAME}.example",
        "admin_password": passwords["admin"],
        "posts": POSTS,
        "users": USERS,
        "uploads": UPLOADS,
        "comments": COMMENTS,
    }
    server.write_as(NAME, home, {".fill.json": json.dumps(settings)}, mode=0o600)
    server.run_as(NAME, "php", input=(CONTENT / "blog/fill.php").read_bytes())
    server.run_as(NAME, "rm", f"{home}/.fill.json")
    server.run("mariadb", "--batch", DATABASE, input=(CONTENT / "blog/routines.sql").read_bytes())
    server.run("crontab", "-u", NAME, "-", input=f"*/15 * * * * php {root}/wp-cron.php > /dev/null 2>&1\n")

    filled = Filled(
        account=NAME,
        account_file=statement,
        look={
            "urls": [
                f"https://{NAME}.example/",
                f"https://{NAME}.example/?p=10",
                f"https://{NAME}.example/?s=transhumance",
                f"https://{NAME}.example/visit.php?look",
            ],
            "mysql_connection": "account_blog_mysql",
        },
        connections=[
            {
                "conn_id": "account_blog_mysql",
                "conn_type": "mysql",
                "host": f"{NAME}.example",
                "port": 3306,
                "login": REPORT_USER[0],
                "password": passwords[REPORT_USER],
                "schema": DATABASE,
            }
        ],
    )
    filled.save(server.state)
    return filled


def _users(passwords: dict) -> str:
    """SQL that makes the account's database, and its two users with their passwords and rights on it."""
    # `_` is a wildcard in the name of a grant's database.
    database = DATABASE.replace("_", r"\_")
    lines = [f"CREATE DATABASE `{DATABASE}` CHARACTER SET utf8mb4;"]
    for user, rights in ((SITE_USER, "ALL PRIVILEGES"), (REPORT_USER, "SELECT, SHOW VIEW, EXECUTE")):
        name = f"'{user[0]}'@'{user[1]}'"
        lines.append(f"CREATE USER {name} IDENTIFIED BY '{passwords[user]}';")
        lines.append(f"GRANT {rights} ON `{database}`.* TO {name};")
    return "\n".join(lines)


def _config(password: str) -> str:
    """wp-config.php, with salts of its own."""
    template = (CONTENT / "blog/wp-config.php").read_text()
    keys = ("AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY")
    salts = ("AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT")
    secret = "\n".join(f"define('{key}', '{new_password()}{new_password()}');" for key in keys + salts)
    return (
        template.replace("@DATABASE@", DATABASE)
        .replace("@USER@", SITE_USER[0])
        .replace("@PASSWORD@", password)
        .replace("/* salts */", secret)
    )
