"""The infrastructure of this project: HAProxy, nginx, php-fpm units, Postfix, Dovecot, cron."""

SERVICES = ("haproxy", "nginx", "postfix", "dovecot", "cron")
"""The units of systemd that it is made of."""
