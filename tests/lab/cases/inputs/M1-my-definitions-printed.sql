-- CASE M1: definitions with expressions that two versions could print differently: generated columns, checks, defaults, partitions, indexes, foreign keys' rules
-- ENGINE: mariadb
-- RIGHT: the account moves, everything as it was
--@ account
CREATE TABLE parent (id int PRIMARY KEY, code varchar(10) CHARACTER SET latin1 NOT NULL, KEY by_code (code) COMMENT 'by its code' IGNORED);
CREATE TABLE child (id int PRIMARY KEY, up int, CONSTRAINT c_up FOREIGN KEY (up) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE g (id int PRIMARY KEY, doc longtext CHECK (json_valid(doc)), name varchar(40), total decimal(10,2) CHECK (total >= 0 AND total < 1e6),
 low varchar(40) AS (lower(name)) STORED, txt varchar(20) AS (cast(id AS char)) VIRTUAL, conv varchar(40) AS (convert(name USING latin1)) VIRTUAL,
 j varchar(20) AS (json_value(doc, '$.a')) VIRTUAL, day varchar(10) AS (date_format('2020-01-01', '%Y')) VIRTUAL, at timestamp NULL DEFAULT (current_timestamp() + INTERVAL 1 DAY),
 intro varchar(20) DEFAULT concat(_utf8mb4'ä', 'x'), bin binary(3) DEFAULT (unhex('ff00aa')), CONSTRAINT named CHECK (name <> 'x' AND id BETWEEN 1 AND 1000)) ROW_FORMAT=COMPRESSED STATS_PERSISTENT=1 COMMENT='ü';
CREATE TABLE p (id int, at date, KEY (id)) PARTITION BY RANGE (year(at)) SUBPARTITION BY HASH (to_days(at)) SUBPARTITIONS 2 (PARTITION a VALUES LESS THAN (2000) COMMENT = 'old', PARTITION b VALUES LESS THAN MAXVALUE);
CREATE TABLE l (id int, k varchar(5)) PARTITION BY LIST COLUMNS (k) (PARTITION x VALUES IN ('a', 'b'), PARTITION y DEFAULT);
CREATE SEQUENCE s START WITH 100 INCREMENT BY 10 CACHE 5;
INSERT INTO parent VALUES (1, 'x'); INSERT INTO child VALUES (1, 1);
INSERT INTO g (id, doc, name, total) VALUES (1, '{"a": "b"}', 'Ann', 3); INSERT INTO p VALUES (1, '1999-01-01'), (2, '2020-01-01');
CREATE VIEW priced AS SELECT id, count(*) OVER () AS n, cast(total AS char) AS t, json_extract(doc, '$.a') AS j, name COLLATE utf8mb4_bin AS b FROM g WHERE name LIKE 'A%';
CREATE VIEW tree AS WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 3) SELECT n FROM up;
--@ check
SELECT low, txt, conv, j, day, intro, HEX(bin) FROM g; SELECT n, t, j, b FROM priced; SELECT COUNT(*) FROM tree; SELECT COUNT(*) FROM p PARTITION (a); DELETE FROM parent WHERE 1 = 0; SELECT INDEX_COMMENT, IGNORED FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'by_code'; SELECT DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE();
--@ expect
(as before)
