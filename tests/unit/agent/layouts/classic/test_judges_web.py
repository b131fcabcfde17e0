"""Judges of what the web servers read: ordinary sites pass, and nothing that reaches beyond the account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.agent.layouts.classic.places import kind_of

from .judged import WEB1, said
from .ordinary_files import DEFAULT, HOME, ISPCONFIG, OF_NGINX, PLESK, WORDPRESS

APACHE, NGINX = "/etc/apache2/sites-available/100-shop.example.conf", "/etc/nginx/sites-available/shop.example.conf"


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
    "AddType application/x-httpd-php .html",
    "AddType application/x-httpd-cgi .cgi",
    "ForceType text/x-server-parsed-html",
    "RewriteRule ^x$ - [T=application/x-httpd-php]",
    "<Location />\nRequire all granted\n</Location>",
    "<Location /server-status>\nRequire all granted\n</Location>",
    "<Location /serv>\nSatisfy any\n</Location>",
    '<Location ~ "^/s">\nAllow from all\n</Location>',
    '<LocationMatch "status">\nRequire valid-user\n</LocationMatch>',
    "<If true>\n<RequireAny>\nRequire all granted\n</RequireAny>\n</If>",
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
    SERVER % "server_name *.shop.example;",
    SERVER % "server_name .shop.example;",
    SERVER % "server_name *.example;",
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


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/nginx/sites-available/x", SERVER % "server_name .shop.example *.shop.example;"),
        (
            "/etc/apache2/sites-available/x.conf",
            f"<VirtualHost *:80>\nServerName shop.example\nServerAlias *.shop.example\nDocumentRoot {HOME}/web\n"
            "</VirtualHost>\n",
        ),
    ],
)
def test_all_names_below_one_are_the_accounts_where_its_file_says_so(path: str, text: str) -> None:
    kind = kind_of(path, WEB1)
    assert kind is not None
    without = [*kind.judge(path, text, WEB1)]
    assert without and all("which is no host name of web1's sites" in sentence for sentence in without)
    assert [*kind.judge(path, text, replace(WEB1, hosts=WEB1.hosts | {"*.shop.example"}))] == []
