-- CASE 41: dates like 2023-02-31, which the application was allowed to store (ALLOW_INVALID_DATES)
-- SOURCE: OpenSID/OpenSID #5419; everything2/everything2 #2210; webkul/hotelcommerce PR#509
-- ENGINE: mariadb
-- RIGHT: the account moves, the dates as they were
--@ account
SET sql_mode = 'ALLOW_INVALID_DATES';
CREATE TABLE birth (id int PRIMARY KEY, at date, seen datetime);
INSERT INTO birth VALUES (1, '2023-02-31', '2023-04-31 10:00:00'), (2, '2023-02-28', '2023-04-30 10:00:00'), (3, '2023-00-00', '0000-00-00 00:00:00');
--@ check
SELECT id, at, seen FROM birth;
--@ expect
1	2023-02-31	2023-04-31 10:00:00
2	2023-02-28	2023-04-30 10:00:00
3	2023-00-00	0000-00-00 00:00:00
