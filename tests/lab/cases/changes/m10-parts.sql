-- CASE m10: partitions exchanged and emptied
-- ENGINE: mariadb
-- RIGHT: the answer is the same on both sides
--@ account
CREATE TABLE t (id int PRIMARY KEY, a int) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));
CREATE TABLE x (id int PRIMARY KEY, a int);
INSERT INTO t VALUES (1,1),(11,1);
INSERT INTO x VALUES (2,2),(3,3);
--@ meanwhile
ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE x;
ALTER TABLE t TRUNCATE PARTITION p1;
--@ check
SELECT * FROM t ORDER BY id; SELECT * FROM x;
