"""Real applications as accounts: wikis, a webmail, a Django application, and two ledgers.

Each has a page that takes a number of a visitor's and answers 200 once the application has kept it, and says which
numbers it has kept.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.accounts import debian
from lab.accounts.filling import Server, account_file

PASSWORD = "secret"
DJANGO = ("django==5.2.19", "gunicorn==27.0.1", "asgiref==3.13.0", "sqlparse==0.6.1", "packaging==26.4")
_MEDIAWIKI_WITHOUT = ("extensions-core", "extensions", "docs", "tests", "images", "LocalSettings.php", "config")


@dataclass(frozen=True)
class Application:
    """An account with one application. `engine` holds its data: postgresql, mariadb, or None for files."""

    name: str
    engine: str | None
    install: Callable[[Server, Application], None]
    page: str
    """Where a visitor asks."""
    body: str | None
    """What a visitor posts, with {n}; None where looking at the page writes."""
    kept: tuple[str, ...]
    """The command that prints the numbers that were kept, as root; empty where they are not told apart."""
    app: str | None = None
    """The path that its own program answers at ~/app.sock."""

    def statement(self, uid: int) -> dict[str, Any]:
        """Its account file."""
        databases: dict[str, Any] = {}
        if self.engine == "postgresql":
            databases = {"postgresql": {"roles": [self.name], "databases": [self.name]}}
        if self.engine == "mariadb":
            user = {"user": self.name, "host": "localhost"}
            databases = {"mariadb": {"users": [user], "databases": [self.name]}}
        statement = account_file(self.name, uid, **databases)
        if self.app:
            statement["sites"][0]["app"] = self.app
        return statement

    def make(self, server: Server, uid: int) -> dict[str, Any]:
        """The account, its database and the application in it; gives the account file."""
        name, statement = self.name, self.statement(uid)
        if self.engine == "postgresql":
            script = f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}';\nCREATE DATABASE {name} OWNER {name};\n"
            server.run("runuser", "-u", "postgres", "--", "psql", "-Xq", "-v", "ON_ERROR_STOP=1", input=script)
        if self.engine == "mariadb":
            script = f"CREATE DATABASE {name}; CREATE USER {name}@localhost IDENTIFIED BY '{PASSWORD}';"
            server.run("mariadb", input=f"{script} GRANT ALL ON {name}.* TO {name}@localhost;")
        server.create(statement)
        self.install(server, self)
        return statement


def _mediawiki(server: Server, app: Application) -> None:
    tree = debian.archive(
        "mediawiki", ["mediawiki", "mediawiki-classes"], {"usr/share/mediawiki": "."}, _MEDIAWIKI_WITHOUT
    )
    root = f"/home/{app.name}/public_html"
    server.unpack_as(app.name, root, tree.read_bytes())
    server.run_as(app.name, "mkdir", "-p", f"{root}/extensions", f"{root}/images", f"{root}/cache")
    install = ["php", f"{root}/maintenance/install.php", "--dbserver=127.0.0.1", f"--dbname={app.name}"]
    install += [f"--dbuser={app.name}", f"--dbpass={PASSWORD}", f"--installdbuser={app.name}", "--scriptpath="]
    install += [f"--installdbpass={PASSWORD}", f"--server=http://{app.name}.example", "--pass=a-long-passphrase"]
    install += [f"--dbtype={'postgres' if app.engine == 'postgresql' else 'mysql'}", app.name, "Shepherd"]
    server.run_as(app.name, *install)
    # A wiki that many may edit at a time: nobody is slowed down, nothing waits for a job that a visit would run.
    more = "$wgRateLimits = []; $wgJobRunRate = 0; $wgMainCacheType = CACHE_DB; $wgCacheDirectory = __DIR__ . '/cache';"
    server.run_as(app.name, "sh", "-c", f"cat >> {root}/LocalSettings.php", input=more)
    server.run_as(app.name, "php", f"{root}/maintenance/rebuildLocalisationCache.php", "--lang=en")


def _dokuwiki(server: Server, app: Application) -> None:
    packages = ["dokuwiki", "php-geshi", "libphp-simplepie", "php-phpseclib", "php-random-compat"]
    places = {
        "usr/share/dokuwiki": ".",
        "etc/dokuwiki": "conf",
        "var/lib/dokuwiki/data": "data",
        "usr/share/php": "php",
    }
    tree = debian.archive("dokuwiki", packages, places, ("inc/preload.php", ".htaccess"))
    root = f"/home/{app.name}/public_html"
    server.unpack_as(app.name, root, tree.read_bytes())
    _find_at(server, app, root, {"/usr/share/php": f"{root}/php"})
    folders = "attic cache index locks log media media_attic media_meta meta pages tmp"
    server.run_as(app.name, "sh", "-c", f"cd {root}/data && mkdir -p {folders}")
    preload = "<?php ini_set('include_path', dirname(__DIR__) . '/php');\n"
    preload += "foreach (['DOKU_CONF', 'DOKU_MAIN_CONF'] as $one)"
    preload += " if (!defined($one)) define($one, dirname(__DIR__) . '/conf/');"
    local = "<?php $conf['savedir'] = './data'; $conf['useacl'] = 0; $conf['plugin']['usewiki'] = 1;"
    write = """<?php
if (!isset($_POST['n'])) { echo '<title>doku</title>'; exit; }
define('DOKU_INC', __DIR__ . '/'); define('NOSESSION', 1);
require DOKU_INC . 'inc/init.php';
$page = 'visit:n' . (int) $_POST['n'];
saveWikiText($page, 'A shepherd was here: ' . (int) $_POST['n'], 'a visit');
http_response_code(page_exists($page) ? 200 : 500);
"""
    files: dict[str, bytes | str] = {"inc/preload.php": preload, "conf/local.php": local, "write.php": write}
    server.write_as(app.name, root, files)


def _find_at(server: Server, app: Application, root: str, places: dict[str, str]) -> None:
    """Debian's copy knows where Debian has its parts; a customer's lies where it was unpacked."""
    expressions = " ".join(f"-e 's#{old}#{new}#g'" for old, new in places.items())
    patterns = "".join(f"-e {old} " for old in places)
    change = f"cd {root} && grep -rlZ --include=*.php {patterns} . | xargs -0 sed -i {expressions}"
    server.run_as(app.name, "sh", "-c", change)


def _roundcube(server: Server, app: Application) -> None:
    packages = ["roundcube-core", "roundcube-mysql", "php-pear", "php-mail-mime", "php-net-smtp", "php-net-sieve"]
    packages += ["php-net-socket", "php-auth-sasl", "php-masterminds-html5", "php-guzzlehttp-guzzle"]
    packages += ["php-guzzlehttp-psr7", "php-guzzlehttp-promises", "php-psr-http-message", "php-psr-http-client"]
    packages += ["php-getallheaders", "php-psr-http-factory", "php-symfony-deprecation-contracts"]
    tree = debian.archive("roundcube", packages, {"usr/share/roundcube": ".", "usr/share/php": "php"})
    root = f"/home/{app.name}/public_html"
    server.unpack_as(app.name, root, tree.read_bytes())
    server.run_as(app.name, "mkdir", "-p", f"{root}/config", f"{root}/temp", f"{root}/logs")
    _find_at(server, app, root, {"/var/lib/roundcube/": f"{root}/", "/usr/share/php": f"{root}/php"})
    config = f"""<?php
ini_set('include_path', dirname(__DIR__) . '/php:' . ini_get('include_path'));
$config = ['db_dsnw' => 'mysql://{app.name}:{PASSWORD}@127.0.0.1/{app.name}', 'plugins' => [],
    'imap_host' => 'localhost:143', 'des_key' => 'rcmail-!24ByteDESkey*Str', 'session_lifetime' => 600];
"""
    # Debian keeps the defaults in /etc.
    places = {"etc/roundcube": "."}
    defaults = debian.archive("roundcube-conf", ["roundcube-core"], places, ("debian-db-roundcube.php", "plugins"))
    server.unpack_as(app.name, f"{root}/config", defaults.read_bytes())
    server.write_as(app.name, root, {"config/config.inc.php": config})
    login = f"mariadb --user={app.name} --password={PASSWORD} {app.name}"
    server.run_as(app.name, "sh", "-c", f"{login} < {root}/SQL/mysql.initial.sql")


_DJANGO = """
import os, sys
from pathlib import Path
from django.conf import settings
HOME = Path(__file__).resolve().parent
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": HOME / "db.sqlite3", "OPTIONS": {"timeout": 20}}
settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="sheep",
    DATABASES={"default": database}, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", INSTALLED_APPS=[])
import django
django.setup()
from django.db import connection, models
from django.http import HttpResponse
from django.urls import path

class Visit(models.Model):
    n = models.IntegerField()
    class Meta:
        app_label = "visits"

def visit(request):
    if request.method == "POST":
        Visit.objects.create(n=int(request.POST["n"]))
    return HttpResponse("<title>Django</title>%d" % Visit.objects.count())

urlpatterns = [path("live/", visit)]
if "visits_visit" not in connection.introspection.table_names():
    with connection.schema_editor() as editor:
        editor.create_model(Visit)
connection.close()
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def _django(server: Server, app: Application) -> None:
    home = f"/home/{app.name}"
    packages = io.BytesIO()
    with zipfile.ZipFile(packages, "w") as all_of_them:
        for wheel in debian.wheels("django", DJANGO):
            with zipfile.ZipFile(wheel) as package:
                for entry in package.infolist():
                    all_of_them.writestr(entry, package.read(entry))
    server.run_as(app.name, "python3", "-m", "venv", "--without-pip", f"{home}/venv")
    unpack = "import io, sys, zipfile, glob; zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())).extractall("
    unpack += f"glob.glob('{home}/venv/lib/python3*/site-packages')[0])"
    server.run_as(app.name, "python3", "-c", unpack, input=packages.getvalue())
    # A virtualenv is made for one version of Python; its packages, which are plain Python, serve the next one as well.
    start = f"""#!/bin/sh
cd {home} && export PYTHONPATH=$(echo venv/lib/python3*/site-packages)
exec python3 -m gunicorn -w 1 --threads 4 -b unix:{home}/app.sock shop:application >> {home}/app.log 2>&1
"""
    server.write_as(app.name, home, {"shop.py": _DJANGO, "start.sh": start}, 0o755)
    server.run("crontab", "-u", app.name, "-", input="@reboot $HOME/start.sh\n")
    # cron runs it at a boot; until then its owner has started it by hand.
    server.run_as(app.name, "sh", "-c", f"setsid nohup {home}/start.sh > /dev/null 2>&1 &")


_LEDGER = """<?php
$db = new PDO("{dsn}", "{name}", "{password}", [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
if (isset($_POST["n"])) {{
    $n = (int) $_POST["n"];
    $amount = $n % 1000 - 500;
    $db->beginTransaction();
    $db->exec("UPDATE pgbench_accounts SET abalance = abalance + $amount WHERE aid = " . (1 + $n * 7919 % 1000));
    $db->exec("UPDATE pgbench_tellers SET tbalance = tbalance + $amount WHERE tid = " . (1 + $n % 10));
    $db->exec("UPDATE pgbench_branches SET bbalance = bbalance + $amount WHERE bid = 1");
    $db->exec("INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler) VALUES "
        . "(1 + $n % 10, 1, 1 + $n * 7919 % 1000, $amount, now(), '$n')");
    $db->commit();
}}
echo "<title>ledger</title>";
"""
BALANCES = (
    "SELECT (SELECT SUM(abalance) FROM pgbench_accounts) = (SELECT SUM(delta) FROM pgbench_history),"
    " (SELECT SUM(tbalance) FROM pgbench_tellers) = (SELECT SUM(delta) FROM pgbench_history),"
    " (SELECT SUM(bbalance) FROM pgbench_branches) = (SELECT SUM(delta) FROM pgbench_history)"
)
"""pgbench's invariant: whatever was committed, these sums are the same."""
_LEDGER_TABLES = """
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
INSERT INTO pgbench_branches VALUES (1, 0, '');
INSERT INTO pgbench_tellers SELECT seq, 1, 0, '' FROM seq_1_to_10;
INSERT INTO pgbench_accounts SELECT seq, 1, 0, '' FROM seq_1_to_100000;
"""


def _ledger(server: Server, app: Application) -> None:
    """pgbench's tables, made by pgbench itself in PostgreSQL; its transaction by a page, so that each has a number."""
    dsn = f"{'pgsql' if app.engine == 'postgresql' else 'mysql'}:host=127.0.0.1;dbname={app.name}"
    page = _LEDGER.format(dsn=dsn, name=app.name, password=PASSWORD)
    server.write_as(app.name, f"/home/{app.name}/public_html", {"index.php": page})
    if app.engine == "postgresql":
        pgbench = "/usr/lib/postgresql/*/bin/pgbench -q -i -s 1"
        server.run_as(app.name, "sh", "-c", f"PGPASSWORD={PASSWORD} {pgbench} -h 127.0.0.1 {app.name} 2> /dev/null")
    else:
        login = ("mariadb", f"--user={app.name}", f"--password={PASSWORD}", app.name)
        server.run_as(app.name, *login, input=_LEDGER_TABLES)


def _postgresql(database: str, query: str) -> tuple[str, ...]:
    return ("runuser", "-u", "postgres", "--", "psql", "-XqAt", "-d", database, "-c", query)


def _mariadb(database: str, query: str) -> tuple[str, ...]:
    return ("mariadb", "--batch", "--skip-column-names", database, "-e", query)


_EDIT = "action=edit&format=json&title=Visit{n}&text=A+shepherd+was+here&token=%2B%5C"
_TITLES = "SELECT substr(page_title, 6) FROM {0} WHERE page_title LIKE 'Visit%'"
APPLICATIONS = (
    Application(
        *("wiki", "mariadb", _mediawiki, "/api.php", _EDIT),
        kept=_mariadb(
            "wiki", "SELECT SUBSTR(CONVERT(page_title USING utf8mb4), 6) FROM page WHERE page_title LIKE 'Visit%'"
        ),
    ),
    Application(
        *("wikipg", "postgresql", _mediawiki, "/api.php", _EDIT),
        kept=_postgresql("wikipg", _TITLES.format("mediawiki.page")),
    ),
    Application("cube", "mariadb", _roundcube, "/index.php", None, kept=()),
    Application(
        *("doku", None, _dokuwiki, "/write.php", "n={n}"),
        kept=("sh", "-c", "cd /home/doku/public_html/data/pages/visit && ls | sed 's/^n//; s/.txt$//'"),
    ),
    Application(
        *("shop", None, _django, "/live/", "n={n}"),
        kept=(
            "python3",
            "-c",
            "import sqlite3; [print(*r) for r in sqlite3.connect('/home/shop/db.sqlite3').execute("
            "'SELECT n FROM visits_visit')]",
        ),
        app="/live",
    ),
    Application(
        *("bench", "postgresql", _ledger, "/index.php", "n={n}"),
        kept=_postgresql("bench", "SELECT filler FROM pgbench_history"),
    ),
    Application(
        *("ledger", "mariadb", _ledger, "/index.php", "n={n}"),
        kept=_mariadb("ledger", "SELECT filler FROM pgbench_history"),
    ),
)
