"""Who has which site is read from the web servers and pools of a server that Debian's packages and people filled."""

from __future__ import annotations

from pathlib import Path

from include.agent.layouts.classic.reading.inhabitants import accounts, inhabitants, read_server
from include.agent.verbs.discovered import Discovered

from .laid import laid, silent


def read(folder: Path, name: str, **files: str) -> tuple[dict[str, Discovered], list[str]]:
    tree = laid(folder, name, **files)
    found = accounts(read_server(tree, silent), {})
    return found, tree.notes.sentences()


def test_apache_with_pools_of_two_versions(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "apache")
    assert [*found] == ["news", "shop"]
    shop, news = found["shop"], found["news"]

    (site,) = shop.sites
    assert site.names == ["shop.example", "www.shop.example", "*.shop.example"]
    assert (site.root, site.served_by, site.behind) == ("/home/shop/public html", "Apache", [])
    assert site.certificates == [f"/etc/letsencrypt/live/shop.example/{name}.pem" for name in ("fullchain", "privkey")]
    assert site.place == "/etc/apache2/sites-enabled/shop.conf:3"
    assert [(pool.name, pool.version, pool.listen) for pool in shop.pools] == [("shop", "8.2", "/run/php/shop.sock")]

    (site,) = news.sites
    assert site.root == "/srv/news/www"
    assert site.behind == [
        "/live at http /home/news/app.sock",
        "/board at http 127.0.0.1:3000",
        "/ at ws 127.0.0.1:3001",
    ]
    assert [(pool.version, pool.listen) for pool in news.pools] == [("8.4", "127.0.0.1:9084")]
    assert (news.uid, news.home, news.shell) == (1002, "/home/news", "/usr/bin/zsh")


def test_what_starts_by_itself(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "apache")
    assert [(one.kind, one.file, one.command) for one in found["news"].programs] == [
        (
            "a unit of systemd",
            "/etc/systemd/system/board.service",
            "/home/news/board/venv/bin/gunicorn   --bind 127.0.0.1:3000 board:app",
        ),
        ("a line of cron", "/etc/cron.d/customers:4", "/home/news/daily"),
        ("a unit of the user's own", "/home/news/.config/systemd/user/worker.service", ""),
    ]
    assert [(one.kind, one.file, one.command) for one in found["shop"].programs] == [
        ("a line of cron", "/etc/cron.d/customers:3", "/usr/bin/php /home/shop/cron.php"),
        ("a crontab", "/var/spool/cron/crontabs/shop", ""),
    ]


def test_what_belongs_to_an_account_and_lies_elsewhere_is_named(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "apache")
    assert [(extra.path, extra.description) for extra in found["shop"].extras] == [
        ("/etc/apache2/sites-enabled/shop.conf", "Apache's file of the site"),
        ("/etc/apache2/passwords/shop", "passwords of the site"),
        ("/etc/letsencrypt/options-ssl-apache.conf", "Apache's file of the site"),
        ("/etc/letsencrypt/live/shop.example/fullchain.pem", "a certificate or its key"),
        ("/etc/letsencrypt/live/shop.example/privkey.pem", "a certificate or its key"),
        ("/etc/php/8.2/fpm/pool.d/shop.conf", "a pool of php-fpm"),
        ("/etc/cron.d/customers:3", "a line of cron"),
    ]


def test_what_is_not_understood_or_nobodys_is_told_with_its_place(tmp_path: Path) -> None:
    _, notes = read(tmp_path, "apache")
    odd = "/etc/apache2/sites-enabled/odd.conf"
    assert [note for note in notes if "odd.conf" in note] == [
        f"{odd}:10: '</Directory>' ends a section that was not begun.",
        f"{odd}:11: 'sites-available/gone.conf' is included and is not there.",
        f"{odd}:4: what 'virtualdocumentroot' does for the site is not understood.",
        f"{odd}:1: the macro 'VHost' is not understood; write out what it stands for.",
        f"{odd}:2: the site other.example belongs to no person; give it to a user, or take it away.",
        f"{odd}:6: the site plain.example (its PHP runs as www-data) belongs to no person; give it to a user, or take"
        " it away.",
    ]
    assert "/etc/passwd: the user admin (number 1003, home /home/admin) has no site, pool, mail or database." in notes
    assert any("the pool 'www' runs 2 sites as www-data" in note for note in notes)
    assert not any("never.example" in note or "shop" in note or "news" in note for note in notes)


def test_nginx_with_upstreams_certbot_and_a_home_elsewhere(tmp_path: Path) -> None:
    found, notes = read(tmp_path, "nginx")
    (blog,) = found.values()
    first, old = blog.sites
    assert (blog.name, blog.uid, blog.home, blog.shell) == ("Blog.1", 70001, "/home2/blog", "/bin/rbash")
    assert first.names == ["blog.example", "www.blog.example", "blog.test", "*.blog.test"]
    assert (first.root, first.served_by) == ("/home2/blog/www", "nginx")
    assert first.behind == ["/live at http /home2/blog/app.sock"]
    assert old.names == ["old-blog.example"] and not old.root
    assert ("/srv/blog/assets/", "a folder that the site shows too") in [(e.path, e.description) for e in blog.extras]
    assert ("/etc/nginx/passwords/blog", "passwords of the site") in [(e.path, e.description) for e in blog.extras]
    odd = "/etc/nginx/conf.d/odd.conf"
    assert notes == [
        f"{odd}:5: the program in Lua is not looked at.",
        f"{odd}:3: the pattern '~^(?<sub>.+)\\\\.mass\\\\.example$' stands for names that are not known; list them.",
        f"{odd}:3: the name 'www.mass.*' has no end; list the names that it stands for.",
        f"{odd}:4: the folder '/srv/mass/$sub' changes with what is asked; write it out.",
        f"{odd}:10: what 'magic_word' does for the site is not understood.",
        f"{odd}:1: the site without a name belongs to no person; give it to a user, or take it away.",
        f"{odd}:7: the site app.example belongs to no person; give it to a user, or take it away.",
    ]


def test_nginx_before_apache_is_one_site(tmp_path: Path) -> None:
    front = """http { server { listen 443 ssl; server_name shop.example www.shop.example;
      location / { proxy_pass http://127.0.0.1:80; } } }"""
    found, notes = read(tmp_path, "apache", **{"etc/nginx/nginx.conf": front})
    (site,) = found["shop"].sites
    assert site.served_by == "Apache behind nginx" and site.behind == []
    assert not any("nginx" in note for note in notes)


def test_two_persons_for_one_site_are_told(tmp_path: Path) -> None:
    vhost = (
        "<VirtualHost *:80>\nServerName x.example\nDocumentRoot /home/news/x\nAssignUserId shop shop\n</VirtualHost>\n"
    )
    found, notes = read(tmp_path, "apache", **{"etc/apache2/sites-enabled/x.conf": vhost})
    assert "x.example" in [site.names[0] for site in found["shop"].sites]
    assert any("the site x.example is news and shop's, by its user, pool and folder" in note for note in notes)


INCLUDES = """Included configuration files:
  (*) /etc/apache2/apache2.conf
    (146) /etc/apache2/ports.conf
    (225) /etc/apache2/sites-enabled/by a panel.conf
VirtualHost configuration:
192.0.2.7:80           news.example (/etc/apache2/sites-enabled/news.conf:1)
*:80                   is a NameVirtualHost
         default server shop.example (/etc/apache2/sites-enabled/shop.conf:3)
         port 80 namevhost missed.example (/etc/apache2/sites-enabled/by a panel.conf:7)
                 alias www.missed.example
ServerRoot: "/etc/apache2"
"""


def test_what_the_web_servers_read_and_this_does_not_is_told(tmp_path: Path) -> None:
    answers = {"apache2ctl": INCLUDES, "nginx": "# configuration file /etc/nginx/nginx.conf:\nhttp {}\n"}
    tree = laid(tmp_path, "apache", **{"etc/nginx/nginx.conf": "http {}"})
    read_server(tree, lambda argv, env=None: answers.get(argv[0]))
    missed = "/etc/apache2/sites-enabled/by a panel.conf"
    assert [note for note in tree.notes.sentences() if "panel" in note or "nginx" in note] == [
        f"{missed}:7: Apache has a site there that was not understood.",
        f"{missed} is read by the web server, and could not be read here.",
    ]
    read_server(tree, lambda argv, env=None: None)
    told = "nginx does not tell what it reads (nginx -T); see why, since something may be missed."
    assert told in tree.notes.sentences()


def test_what_panels_write(tmp_path: Path) -> None:
    """ISPConfig's Apache with homes below /var/www/clients, HestiaCP's nginx before Apache with files in the home."""
    found, notes = read(tmp_path, "panel")
    assert [*found] == ["user", "web1", "web2"]
    (shop,) = found["web1"].sites
    assert (shop.names, shop.root) == (["shop.example", "www.shop.example"], "/var/www/clients/client1/web1/web")
    assert [(pool.name, pool.version) for pool in found["web1"].pools] == [("web1", "8.2")]
    assert [extra.path for extra in found["web1"].extras] == [
        "/etc/apache2/sites-enabled/100-shop.example.vhost",
        "/etc/php/8.2/fpm/pool.d/web1.conf",
        "/var/www/shop.example",
    ]
    (cafe,) = found["user"].sites
    assert (cafe.served_by, cafe.behind) == ("Apache behind nginx", [])
    assert (cafe.root, found["user"].pools[0].version) == ("/home/user/web/cafe.example/public_html", "8.3")
    assert [extra.path for extra in found["user"].extras] == [
        "/etc/php/8.3/fpm/pool.d/cafe.example.conf",
    ]
    old = "/etc/apache2/sites-enabled/100-old.example.vhost:5"
    assert notes == [
        "/etc/apache2/sites-enabled/100-shop.example.vhost:69: what 'davlockdb' does for the site is not understood.",
        f"{old}: no pool of php-fpm listens at '/var/lib/php8.2-fpm/web2.sock'.",
    ]


def test_a_group_of_several_accounts_is_told(tmp_path: Path) -> None:
    _, first, second = inhabitants(laid(tmp_path, "panel"), {}, silent).accounts
    assert first.unfit == ["The group 5005 of web1 is that of web2 too; give each a group of its own."]
    assert second.account_file is None


def test_several_logins_with_one_number_are_one_user(tmp_path: Path) -> None:
    logins = "shop:x:1001:1001::/home/shop/:/bin/sh\nshop_ftp:x:1001:1001::/home/shop/public html:/bin/false\n"
    found, notes = read(tmp_path, "apache", **{"etc/passwd": logins})
    assert [*found] == ["shop"] and found["shop"].home == "/home/shop"
    assert ("/etc/passwd:2", "the second login shop_ftp") in [
        (one.path, one.description) for one in found["shop"].extras
    ]
    assert not any("shop_ftp" in note or "shop.example" in note for note in notes)


def test_a_user_who_is_not_there_is_told(tmp_path: Path) -> None:
    said = "<VirtualHost *>\nServerName x.example\nDocumentRoot /home/shop/x\nAssignUserId gone\n</VirtualHost>\n"
    _, notes = read(tmp_path, "apache", **{"etc/apache2/sites-enabled/x.conf": said})
    assert "/etc/apache2/sites-enabled/x.conf:1: the site x.example runs as 'gone', who is nobody." in notes
