-- What customers add beside WordPress: a view, a function, a procedure, a trigger, an event; each with its definer.
CREATE TABLE `Daily Counts` (
  `day` DATE NOT NULL,
  `kind` ENUM('comment', 'purge') NOT NULL,
  `n` BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (`day`, `kind`)
) ENGINE=InnoDB;

CREATE TABLE old_log (
  line VARCHAR(200) CHARACTER SET latin1 COLLATE latin1_german2_ci,
  raw VARBINARY(64),
  seen TIMESTAMP(6) NULL,
  price DECIMAL(12, 4),
  half DOUBLE
) ENGINE=MyISAM;
INSERT INTO old_log
  SELECT CONCAT('line ', seq, ' äöü'), UNHEX(SHA2(seq, 256)), FROM_UNIXTIME(1640995200 + seq), seq / 7, seq / 3
  FROM seq_1_to_2000;

DELIMITER //
CREATE DEFINER = `blog_wp`@`localhost` SQL SECURITY DEFINER VIEW `post titles` AS
  SELECT p.ID, p.post_title, u.display_name FROM wp_posts p JOIN wp_users u ON u.ID = p.post_author
  WHERE p.post_status = 'publish' //

CREATE DEFINER = `blog_wp`@`localhost` FUNCTION words_in(t TEXT) RETURNS INT DETERMINISTIC
  RETURN LENGTH(t) - LENGTH(REPLACE(t, ' ', '')) + 1 //

CREATE DEFINER = `blog_wp`@`localhost` PROCEDURE purge_counts(IN keep_days INT)
  MODIFIES SQL DATA
BEGIN
  DELETE FROM `Daily Counts` WHERE `day` < CURRENT_DATE - INTERVAL keep_days DAY;
END //

CREATE DEFINER = `blog_wp`@`localhost` TRIGGER count_comments AFTER INSERT ON wp_comments FOR EACH ROW
BEGIN
  INSERT INTO `Daily Counts` VALUES (CURRENT_DATE, 'comment', 1) ON DUPLICATE KEY UPDATE n = n + 1;
END //

CREATE DEFINER = `blog_wp`@`localhost` EVENT purge_now_and_then
  ON SCHEDULE EVERY 1 MINUTE STARTS '2022-01-01 00:00:00'
  ON COMPLETION PRESERVE ENABLE
  COMMENT 'keeps three years'
  DO BEGIN
    CALL purge_counts(1095);
    INSERT INTO `Daily Counts` VALUES (CURRENT_DATE, 'purge', 1) ON DUPLICATE KEY UPDATE n = n + 1;
  END //
DELIMITER ;
