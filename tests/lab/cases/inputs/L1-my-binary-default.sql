-- LAB L1: a BINARY column whose default holds zero bytes (MediaWiki's bot_passwords.bp_token BINARY(32) DEFAULT '')
-- ENGINE: mariadb   FROM 10.11 TO 11.8
-- RIGHT: the account moves; the default is the same bytes on both sides
--@ account
CREATE TABLE bot (id int PRIMARY KEY, token binary(4) NOT NULL DEFAULT '');
INSERT INTO bot (id) VALUES (1);
--@ check
SELECT HEX(token) FROM bot;
--@ expect
00000000
