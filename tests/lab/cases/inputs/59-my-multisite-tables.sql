-- CASE 59: a WordPress multisite: 3,000 tables in one database
-- SOURCE: woocommerce/woocommerce #27014, #30045 (50,000-100,000 tables); h5p/h5p-wordpress-plugin #41; wp-media/wp-rocket #5792
-- ENGINE: mariadb
-- RIGHT: the account moves; the hold is as short as with ten tables
--@ account
DELIMITER //
CREATE PROCEDURE make_all() BEGIN DECLARE i int DEFAULT 1; WHILE i <= 3000 DO EXECUTE IMMEDIATE CONCAT('CREATE TABLE wp_', i, '_posts (id bigint AUTO_INCREMENT PRIMARY KEY, t varchar(50), KEY (t))'); EXECUTE IMMEDIATE CONCAT('INSERT INTO wp_', i, '_posts (t) VALUES (''x'')'); SET i = i + 1; END WHILE; END//
DELIMITER ;
CALL make_all(); DROP PROCEDURE make_all;
--@ meanwhile
INSERT INTO wp_7_posts (t) VALUES ('later');
--@ check
SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'acct_db';
--@ expect
3000
