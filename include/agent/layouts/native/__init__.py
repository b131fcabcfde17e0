"""The infrastructure of this project: HAProxy, nginx, php-fpm units, Postfix, Dovecot, cron."""
