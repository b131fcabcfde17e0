"""Judges of what the web servers read: ordinary sites pass, and nothing that reaches beyond the account."""

from __future__ import annotations

import pytest

from .judged import said

APACHE, NGINX = "/etc/apache2/sites-available/100-shop.example.conf", "/etc/nginx/sites-available/shop.example.conf"
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


@pytest.mark.parametrize("text", [WORDPRESS, ISPCONFIG, PLESK, DEFAULT])
def test_an_ordinary_site_of_apache_is_carried(text: str) -> None:
    assert said(APACHE, text) == []


def test_an_ordinary_site_of_nginx_is_carried() -> None:
    assert said(NGINX, OF_NGINX) == []


def _site(inside: str) -> str:
    site = f"ServerName shop.example\nDocumentRoot {HOME}/web\n{inside}"
    return f"<VirtualHost *:80>\n{site}\n</VirtualHost>\n"


def test_a_site_with_nothing_more_in_it_is_carried() -> None:
    """What the attacks below stand in."""
    assert said(APACHE, _site("")) == said(NGINX, SERVER % "") == []


ATTACKS_IN_A_SITE = [
    'CustomLog "|/bin/sh -c id" combined',
    "ErrorLog |/tmp/x",
    'ErrorLog "||/usr/bin/rotatelogs /x"',
    "CustomLog /etc/cron.d/x combined",
    "CustomLog /var/log/apache2/neighbour-access.log combined",
    f"CustomLog {HOME}/logs/access.log combined",
    "CustomLog logs/web1.log combined",
    "CustomLog /var/log/apache2/../../etc/cron.d/web1 combined",
    "TransferLog /root/web1.log",
    "Include /etc/shadow",
    "IncludeOptional conf.d/*.conf",
    '"Include" /etc/hosts',
    "Incl\\\nude /etc/hosts",
    "Define X /etc\nInclude ${X}/hosts",
    "DocumentRoot ${HOME}",
    "LoadModule x_module /tmp/x.so",
    "LoadFile /tmp/x.so",
    "<Macro X>\nServerAlias neighbour.example\n</Macro>",
    "ServerAlias neighbour.example",
    "ServerAlias *.shop.example",
    "ServerAlias *",
    "DocumentRoot /home/neighbour",
    "DocumentRoot /",
    f"DocumentRoot {HOME}/../web2",
    f"DocumentRoot {HOME}2/web",
    "Alias /x /var/www/clients/client2/web2/web",
    f"AliasMatch ^/x(.*)$ {HOME}$1",
    "ScriptAlias /cgi-bin/ /var/www/clients/client1/web1/cgi-bin/",
    "<Directory /var/www/clients/client2/web2>\nRequire all granted\n</Directory>",
    "<Directory />\nRequire all granted\n</Directory>",
    '<DirectoryMatch "^/(var|home)/">\nRequire all granted\n</DirectoryMatch>',
    f'<DirectoryMatch "^{HOME}/|^/">\nRequire all granted\n</DirectoryMatch>',
    'SetHandler "proxy:unix:/run/php/neighbour.sock|fcgi://localhost"',
    'SetHandler "proxy:unix:/run/php/web1.sock.2|fcgi://localhost"',
    'SetHandler "proxy:fcgi://127.0.0.1:9000"',
    f'SetHandler "proxy:unix:{HOME}/link.sock|fcgi://localhost"',
    "SetHandler server-status",
    "SetHandler cgi-script",
    "SetHandler application/x-httpd-php",
    "AddHandler cgi-script .cgi",
    "Options +ExecCGI",
    "Options All",
    "Options Includes",
    "ProxyPass / http://127.0.0.1:9200/",
    "ProxyPass / http://169.254.169.254/",
    "ProxyPass /x unix:/run/docker.sock|http://localhost/",
    "ProxyPassMatch ^/(.*)$ ajp://localhost:8009/$1",
    'ProxyPass / "http://x/?unix:"',
    "ProxyRequests On",
    "RewriteRule ^/(.*)$ http://127.0.0.1:6379/$1 [P]",
    "RewriteRule ^/(.*)$ unix:/run/mysqld/mysqld.sock|http://x/ [L,P]",
    "RewriteRule ^/x$ /etc/passwd",
    "RewriteRule ^/x(.*)$ /e$1",
    "RewriteRule ^/x(.*)$ $1",
    "RewriteRule ^/x /./etc/passwd",
    "RewriteRule ^/x //etc/passwd",
    "RewriteRule ^/x - [H=cgi-script]",
    "RewriteMap lower prg:/tmp/x",
    "RewriteMap users txt:/etc/passwd",
    "SSLCertificateKeyFile /etc/shadow",
    "SSLCertificateKeyFile /etc/letsencrypt/live/neighbour.example/privkey.pem",
    "SSLOpenSSLConfCmd PrivateKey /etc/ssl/private/neighbour.key",
    "SSLCACertificatePath /etc",
    "AuthUserFile /etc/shadow",
    "SuexecUserGroup root root",
    "SuexecUserGroup web1 www-data",
    "AssignUserId neighbour neighbour",
    "WSGIScriptAlias / /var/www/clients/client1/web1/app.py",
    "WSGIDaemonProcess x user=root",
    "FCGIWrapper /var/www/clients/client1/web1/run .php",
    "FastCgiExternalServer /var/www/clients/client1/web1/x -host 127.0.0.1:9000",
    'Header set X "expr=%{file:/etc/passwd}"',
    'ErrorDocument 404 "%{file:/etc/passwd}"',
    "RewriteCond expr \"file('/etc/passwd') =~ /root/\"",
    "RemoteIPTrustedProxy 0.0.0.0/0",
    "AddOutputFilter INCLUDES .html",
    "XSendFilePath /",
    "User root",
    "PidFile /etc/x",
    "DocumentRoot /var/www/clients/client1/web1\u00a0x",
    "ServerName shop.example\rInclude /etc/hosts",
    "ExtFilterDefine x cmd=/bin/sh",
    "MDPrivateKeys /etc",
    "UserDir enabled",
    "</VirtualHost>\nListen 81\n<VirtualHost *:80>\nServerName shop.example",
    "</VirtualHost>\n<VirtualHost *:80>\nDocumentRoot /var/www/clients/client1/web1/web",
    "</VirtualHost>\n<Files *>\nRequire all denied\n</Files>\n<VirtualHost *:80>\nServerName shop.example",
    "</VirtualHost>\n<Location />\nRequire all granted\n</Location>\n<VirtualHost *:80>\nServerName shop.example",
    "</VirtualHost>\n<VirtualHost 192.0.2.1:443>\nServerName shop.example",
    "</VirtualHost>\n<VirtualHost *:8081>\nServerName shop.example",
    "<IfDefine !X>\nInclude /etc/hosts\n</IfDefine>",
    "SSLEngine on",
    "SSLProtocol -all +SSLv3",
    "SSLProtocol all -TLSv1.2",
    "LimitRequestLine 1",
    "Timeout 1",
    "SSLStrictSNIVHostCheck on",
    "</VirtualHost>\n<VirtualHost *:443>\nServerName shop.example",
    "</VirtualHost>\n<VirtualHost *:443>\nServerName shop.example\nSSLEngine off",
    "</VirtualHost>\n<VirtualHost *:80 *:443>\nServerName shop.example\nSSLEngine on",
    "</VirtualHost>\n<VirtualHost *:443>\nServerName shop.example\n<IfDefine X>\nSSLEngine on\n</IfDefine>",
    "</VirtualHost>\n<VirtualHost *:80>\n<IfDefine X>\nServerName shop.example\n</IfDefine>",
    "<If true>\nSetHandler server-info\n</If>",
]


@pytest.mark.parametrize("inside", ATTACKS_IN_A_SITE)
def test_what_reaches_beyond_a_site_of_apache_is_refused(inside: str) -> None:
    sentences = said(APACHE, _site(inside))
    assert sentences, "it was let through"
    assert all(sentence.startswith(f"{APACHE}:") and sentence.endswith(".") for sentence in sentences)


def test_the_sentence_names_file_line_directive_and_what_to_do() -> None:
    (sentence,) = said(APACHE, _site('CustomLog "|/bin/sh" combined'))
    assert sentence == (
        f"{APACHE}:4: customlog writes to '|/bin/sh' as root; name a file below /var/log that has web1 or its domain in"
        " its name."
    )


SERVER = f"server {{ listen 443 ssl; server_name shop.example; root {HOME}/web; %s }}"
ATTACKS_ON_NGINX = [
    SERVER % "include /etc/shadow;",
    SERVER % "include *.conf;",
    SERVER % "access_log /etc/cron.d/x;",
    SERVER % "access_log syslog:server=10.0.0.1;",
    SERVER % f"error_log {HOME}/error.log;",
    SERVER % "root /home/neighbour;",
    SERVER % "root $http_x;",
    SERVER % f"location ~ ^/x(.*)$ {{ alias {HOME}$1; }}",
    SERVER % f"location /x {{ alias {HOME}/../web2/; }}",
    SERVER % "location / { try_files /../../../etc/passwd =404; }",
    SERVER % "fastcgi_pass unix:/run/php/neighbour.sock;",
    SERVER % "fastcgi_pass 127.0.0.1:9000;",
    SERVER % f"fastcgi_pass unix:{HOME}/link.sock;",
    SERVER % "proxy_pass http://127.0.0.1:9200;",
    SERVER % "proxy_pass http://$http_host;",
    SERVER % "proxy_pass http://web1.evil.example/;",
    SERVER % "proxy_pass http://unix:/run/docker.sock:/;",
    SERVER % "proxy_pass http://unix:/run/php/web1.sock:/;",
    SERVER % "ssl_certificate_key /etc/shadow;",
    SERVER % "ssl_certificate data:$http_x;",
    SERVER % "auth_basic_user_file /etc/shadow;",
    SERVER % "server_name neighbour.example;",
    SERVER % "server_name ~.*;",
    SERVER % "server_name _;",
    SERVER % "listen 80 default_server;",
    SERVER % "listen 192.0.2.1:80;",
    SERVER % "listen 443 proxy_protocol;",
    SERVER % "listen 80 ssl;",
    SERVER % "listen unix:/run/x.sock;",
    SERVER % "content_by_lua_block { os.execute('id') }",
    SERVER % "perl 'sub { }';",
    SERVER % "proxy_store /etc/cron.d/x;",
    SERVER % "client_body_temp_path /etc;",
    SERVER % "} load_module /tmp/x.so; server {",
    "load_module /tmp/x.so;",
    "user root;",
    "map $host $x { default 1; }",
    "upstream neighbour { server unix:/run/php/web1.sock; }",
    "upstream web1 { server 127.0.0.1:9000; }",
    f"upstream web1 {{ server unix:{HOME}/a.sock; }} " + SERVER % "fastcgi_pass web1;",
    "http { include /etc/shadow; }",
    SERVER % "large_client_header_buffers 1 1;",
    SERVER % "client_header_timeout 1ms;",
    SERVER % "ssl_protocols SSLv3;",
    SERVER % 'add_header X "unclosed;',
]


@pytest.mark.parametrize("text", ATTACKS_ON_NGINX)
def test_what_reaches_beyond_a_site_of_nginx_is_refused(text: str) -> None:
    sentences = said(NGINX, text)
    assert sentences, "it was let through"
    assert all(sentence.startswith(f"{NGINX}:") for sentence in sentences)
