-- LAB L2: as L1 with readable defaults of binary columns, and an ENUM in the character set binary (MediaWiki's image, user, logging, categorylinks tables)
-- ENGINE: mariadb   FROM 10.11 TO 11.8
--@ account
CREATE TABLE image (id int PRIMARY KEY, minor varbinary(100) NOT NULL DEFAULT 'unknown', at binary(14) NOT NULL DEFAULT '19700101000000', kind enum('page','file') CHARACTER SET binary NOT NULL DEFAULT 'page');
INSERT INTO image (id) VALUES (1);
--@ check
SELECT minor, at, kind FROM image;
--@ expect
unknown	19700101000000	page
