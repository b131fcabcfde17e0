"""What of a server is this layout's, or the agent's: places of files (`*` is a part of a name), and what listens."""

from .. import own_places

PLACES = (
    *own_places.PLACES,
    # Laid down with a fresh server.
    "/etc/nftables.conf",
    "/etc/security/namespace.d/transhumance.conf",
    "/etc/ssh/sshd_config.d/management.conf",
    "/etc/systemd/system/app@.*",
    "/etc/systemd/system/*.d/transhumance.conf",
    "/etc/systemd/system/led-*@.*",
    "/etc/systemd/system/php-fpm@.*",
    "/etc/tmpfiles.d/transhumance.conf",
    "/etc/mysql/mariadb.conf.d/90-transhumance.cnf",
    "/etc/mysql/mariadb.conf.d/91-front.cnf",
    # Test servers' own.
    "/etc/at.allow",
    "/etc/cron.allow",
    "/etc/mysql/mariadb.conf.d/92-test-server.cnf",
    "/etc/polkit-1/rules.d/00-test-server.rules",
)

PROGRAMS = own_places.PROGRAMS
