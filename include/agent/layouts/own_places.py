"""What of a server is the agent's or its services', whichever layout it has: places of files (`*` is a part of a name),
and what listens.

Whoever looks for what is nobody's passes over these. What customers have in them is looked at by name: accounts'
databases, users, homes, the mail queue.
"""

from ..host.system import AGENT, CONFIG, STATE

PLACES = (
    # The agent's.
    str(AGENT.parent),
    str(CONFIG),
    str(STATE),
    "/etc/systemd/system/transhumance-*",
    # Made by the services' packages when they are installed, and written by what runs.
    "/etc/haproxy/haproxy.cfg",
    "/etc/nginx/nginx.conf",
    "/etc/dovecot/dovecot.conf",
    "/etc/dovecot/private",
    "/etc/mysql/debian.cnf",
    "/etc/mysql/mariadb.cnf",
    "/etc/php/*/*/php.ini",
    "/etc/php/*/mods-available",
    "/etc/postfix/*.cf",
    "/etc/postfix/*.cf.proto",
    "/etc/postfix/makedefs.out",
    "/etc/postfix/postfix-files",
    "/etc/postgresql/*/main",
    "/etc/postgresql-common",
    "/usr/share/dovecot/protocols.d",
    "/var/www/html/index.nginx-debian.html",
    "/var/lib/dovecot",
    "/var/lib/haproxy",
    "/var/lib/mysql",
    "/var/lib/nginx",
    "/var/lib/php",
    "/var/lib/postfix",
    "/var/lib/postgresql/*/main",
    "/var/lib/postgresql/.bash_history",
    "/var/lib/postgresql/.psql_history",
    "/var/spool/postfix",
    # Accounts' are carried; others' are told as such.
    "/var/spool/cron",
)

PROGRAMS = (
    "/usr/lib/dovecot/*",
    "/usr/lib/postfix/sbin/*",
    "/usr/lib/postgresql/*/bin/postgres",
    "/usr/sbin/dovecot",
    "/usr/sbin/haproxy",
    "/usr/sbin/mariadbd",
    "/usr/sbin/nginx",
    "/usr/sbin/php-fpm*",
)
