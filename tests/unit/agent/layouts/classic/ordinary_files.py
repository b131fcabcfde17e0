"""Files of the host's configuration as panels and hosts write them; each says only what is the account's."""

from __future__ import annotations

HOME = "/var/www/clients/client1/web1"

WORDPRESS = f"""
# a shop
<VirtualHost *:80>
    ServerName shop.example
    ServerAlias www.shop.example
    RewriteEngine On
    RewriteCond %{{REQUEST_URI}} !^/.well-known/
    RewriteRule ^(.*)$ https://%{{HTTP_HOST}}$1 [R=301,L]
    ErrorLog ${{APACHE_LOG_DIR}}/error.log
    CustomLog ${{APACHE_LOG_DIR}}/access.log combined
</VirtualHost>
<IfModule mod_ssl.c>
<VirtualHost *:443>
    ServerAdmin webmaster@shop.example
    ServerName shop.example
    DocumentRoot {HOME}/web
    AllowEncodedSlashes On
    Alias /files "{HOME}/files"
    <Directory "{HOME}/web">
        Options -Indexes +FollowSymLinks
        AllowOverride All
        Require all granted
        RewriteRule ^index\\.php$ - [L]
        RewriteCond %{{REQUEST_FILENAME}} !-f
        RewriteRule . /index.php [L]
    </Directory>
    <Location /private>
        AuthType Basic
        AuthName "for us"
        AuthUserFile /etc/apache2/htpasswd/shop.example
        Require valid-user
    </Location>
    <FilesMatch "\\.php$">
        SetHandler "proxy:unix:/run/php/web1.sock|fcgi://localhost"
    </FilesMatch>
    ProxyPass /live unix:{HOME}/app.sock|http://localhost/live retry=0
    ProxyPassReverse /live http://localhost/live
    Header always set Content-Security-Policy "default-src 'self'; \\
        img-src *"
    ErrorDocument 404 /404.html
    ErrorLog ${{APACHE_LOG_DIR}}/shop.example-error.log
    CustomLog "/var/log/apache2/shop.example-access.log" "%h %l %u %t \\"%r\\" %>s" env=!nolog
    SSLEngine on
    SSLCertificateFile /etc/letsencrypt/live/shop.example/fullchain.pem
    SSLCertificateKeyFile /etc/letsencrypt/live/shop.example/privkey.pem
    Include /etc/letsencrypt/options-ssl-apache.conf
</VirtualHost>
</IfModule>
"""
ISPCONFIG = f"""<Directory /var/www/shop.example>
    AllowOverride None
    Require all denied
</Directory>

<VirtualHost *:80>
    DocumentRoot {HOME}/web
    ServerName shop.example
    ServerAlias www.shop.example
    ServerAdmin webmaster@shop.example

    ErrorLog /var/log/ispconfig/httpd/shop.example/error.log
    Alias /error/ "/var/www/shop.example/web/error/"
    ErrorDocument 400 /error/400.html

    <Directory /var/www/shop.example/web>
        # Clear PHP settings of this website
        <FilesMatch ".+\\.ph(p[345]?|t|tml)$">
            SetHandler None
        </FilesMatch>
        Options +SymlinksIfOwnerMatch
        AllowOverride All
        Require all granted
    </Directory>
    <Directory {HOME}/web>
        Options +SymlinksIfOwnerMatch
        AllowOverride All
        Require all granted
    </Directory>
    # suexec enabled
    <IfModule mod_suexec.c>
        SuexecUserGroup web1 web1
    </IfModule>
    <IfModule mod_fastcgi.c>
        <Directory {HOME}/cgi-bin>
            Require all granted
        </Directory>
        <Directory /var/www/shop.example/web>
            <FilesMatch "\\.php[345]?$">
                SetHandler php-fcgi
            </FilesMatch>
        </Directory>
        Action php-fcgi /php-fcgi virtual
        Alias /php-fcgi {HOME}/cgi-bin/php-fcgi-*-80-shop.example
        FastCgiExternalServer {HOME}/cgi-bin/php-fcgi-*-80-shop.example -idle-timeout 300 -socket \
/var/lib/php8.2-fpm/web1.sock -pass-header Authorization  -pass-header Content-Type
    </IfModule>
    <IfModule mod_proxy_fcgi.c>
        <Directory {HOME}/web>
            <FilesMatch "\\.php[345]?$">
                SetHandler "proxy:unix:/var/lib/php8.2-fpm/web1.sock|fcgi://localhost"
            </FilesMatch>
        </Directory>
    </IfModule>
    # add support for apache mpm_itk
    <IfModule mpm_itk_module>
        AssignUserId web1 web1
    </IfModule>
    <IfModule mod_dav_fs.c>
        <Directory {HOME}/webdav>
            <ifModule mod_security2.c>
                SecRuleRemoveById 960015
            </ifModule>
        </Directory>
        DavLockDB {HOME}/tmp/DavLock
        # WEBDAV BEGIN
        # WEBDAV END
    </IfModule>
</VirtualHost>
"""
PLESK = f"""<IfModule mod_ssl.c>
    <VirtualHost *:443 >
        ServerName "shop.example:443"
        ServerAlias "www.shop.example"
        UseCanonicalName Off
        DocumentRoot "{HOME}/httpdocs"
        CustomLog /var/log/apache2/shop.example/access_ssl_log combined
        ErrorLog "/var/log/apache2/shop.example/error_log"
        <IfModule mod_suexec.c>
            SuexecUserGroup "web1" "web1"
        </IfModule>
        <IfModule mod_userdir.c>
            # UserDir off
        </IfModule>
        <IfModule mod_sysenv.c>
            SetSysEnv PP_VHOST_ID "1"
        </IfModule>
        SSLEngine on
        SSLVerifyClient none
        SSLCertificateFile /etc/letsencrypt/live/shop.example/fullchain.pem
        SSLCertificateKeyFile /etc/letsencrypt/live/shop.example/privkey.pem
        SetEnv PP_CUSTOM_PHP_INI {HOME}/etc/php.ini
        <IfModule mod_proxy_fcgi.c>
            <Files ~ (\\.php$)>
                SetHandler proxy:unix:///run/php/web1.sock|fcgi://127.0.0.1:9000
            </Files>
        </IfModule>
        <Directory "{HOME}/httpdocs">
            AllowOverride AuthConfig FileInfo Indexes Limit Options=Indexes,SymLinksIfOwnerMatch,MultiViews
            Options -Includes -ExecCGI
        </Directory>
        DirectoryIndex "index.html" "index.php"
    </VirtualHost>
</IfModule>
""".replace('            SetSysEnv PP_VHOST_ID "1"\n', "")
DEFAULT = f"""<VirtualHost _default_:443>
\t# The ServerName directive sets the request scheme, hostname and port that
\t# the server uses to identify itself. \\
\tServerName www.shop.example

\tServerAdmin webmaster@localhost
\tDocumentRoot {HOME}/html
\t#LogLevel info ssl:warn

\tErrorLog ${{APACHE_LOG_DIR}}/error.log
\tCustomLog ${{APACHE_LOG_DIR}}/access.log combined
\tServerName shop.example

\t#Include conf-available/serve-cgi-bin.conf
\tSSLEngine on
\tSSLCertificateFile      /etc/ssl/certs/ssl-cert-snakeoil.pem
\tSSLCertificateKeyFile   /etc/ssl/private/ssl-cert-snakeoil.key
\t<FilesMatch "\\.(?:cgi|shtml|phtml|php)$">
\t\tSSLOptions +StdEnvVars
\t</FilesMatch>
\t<Directory /usr/lib/cgi-bin>
\t\tSSLOptions +StdEnvVars
\t</Directory>
</VirtualHost>
"""
OF_NGINX = f"""
upstream web1-php {{ server unix:/run/php/web1.sock; }}
upstream web1_app {{ server unix:{HOME}/app.sock; keepalive 8; }}
server {{
    listen 80;
    listen [::]:80;
    server_name shop.example www.shop.example;
    return 301 https://$host$request_uri;
}}
server {{
    listen 443 ssl http2; # managed by Certbot
    listen [::]:443 ssl ipv6only=on;
    server_name shop.example;
    root {HOME}/web;
    index index.php index.html;
    access_log /var/log/nginx/shop.example.access.log combined;
    error_log /var/log/nginx/shop.example/error.log warn;
    client_max_body_size 64m;
    add_header X-Frame-Options "SAMEORIGIN" always;
    ssl_certificate /etc/letsencrypt/live/shop.example/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/shop.example/privkey.pem;
    include /etc/letsencrypt/options-ssl-nginx.conf;
    ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem;
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ \\.php$ {{
        include snippets/fastcgi-php.conf;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:/run/php/web1.sock;
    }}
    location ~ ^/old/(.+\\.php)$ {{ fastcgi_pass web1-php; include fastcgi_params; }}
    location ~ ^/pub/(.*)$ {{ alias {HOME}/pub/$1; }}
    location /live/ {{
        proxy_pass http://unix:{HOME}/app.sock:/;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
    location /api/ {{ proxy_pass http://web1_app; proxy_http_version 1.1; }}
    location ~* \\.(jpg|css|js)$ {{ expires 30d; access_log off; log_not_found off; }}
    if ($http_user_agent ~* "bad") {{ return 403; }}
    location ~ /\\.ht {{ deny all; }}
}}
"""
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
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----\n"


def pool(more: str) -> str:
    """A plain pool with more in it."""
    return (
        f"[web1]\nuser = web1\ngroup = web1\nlisten = /run/php/web1.sock\npm = ondemand\npm.max_children = 5\n{more}\n"
    )


def logs(inside: str, files: str = "/var/log/apache2/web1-*.log") -> str:
    """A plain file of logrotate's with more in it."""
    return f"{files} {{\n    daily\n    {inside}\n}}\n"
