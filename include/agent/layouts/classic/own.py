"""What of a server is this layout's, or the agent's: places of files (`*` is a part of a name), and what listens.

What else the host has in its configuration is the host's: it is told, and a person signs for it.
"""

from .. import own_places

PLACES = (
    *own_places.PLACES,
    # Laid down by `prepare`.
    "/etc/apache2/conf-enabled/transhumance.conf",
    "/etc/apache2/conf-enabled/transhumance-trials.conf",
    "/etc/dovecot/conf.d/00-transhumance.conf",
    "/etc/nginx/conf.d/transhumance.conf",
    "/etc/nginx/conf.d/transhumance-trials.conf",
    "/etc/php/*/fpm/pool.d/00-transhumance.conf",
    "/etc/sysusers.d/transhumance.conf",
    "/etc/tmpfiles.d/transhumance.conf",
    # Made by the services' packages when they are installed, and written by what runs.
    "/etc/apache2/apache2.conf",
    "/etc/apache2/envvars",
    "/etc/apache2/mods-available",
    "/etc/apache2/mods-enabled",
    "/etc/apache2/sites-available/000-default.conf",
    "/etc/apache2/sites-available/default-ssl.conf",
    "/etc/dovecot/conf.d/*.conf",
    "/etc/php/*/fpm/pool.d/www.conf",
    "/var/cache/apache2",
    "/var/lib/apache2",
    "/var/www/html/index.html",
)

PROGRAMS = (
    *own_places.PROGRAMS,
    "/usr/bin/rspamd",
    "/usr/sbin/apache2",
    "/usr/sbin/opendkim",
    "/usr/sbin/proftpd",
    "/usr/sbin/vsftpd",
)
