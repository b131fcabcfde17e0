CREATE TABLE articles (
  id INT AUTO_INCREMENT PRIMARY KEY,
  title VARCHAR(100) NOT NULL,
  `vector` VARCHAR(20)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO articles (title, `vector`) VALUES ('Felt hat', 'north'), ('Käse', 'south'), ('Cow bell', NULL);

CREATE TABLE old_orders (
  id INT PRIMARY KEY,
  note TEXT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COLLATE utf8mb3_swedish_ci;

CREATE TABLE settings (
  name VARCHAR(40) PRIMARY KEY,
  value TEXT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO settings VALUES ('api', 'https://@ADDRESS@/api'), ('also', 'bell@ADDRESS@0 and 1.@ADDRESS@'), ('tax', '20');

DELIMITER //
CREATE DEFINER = `legacy`@`localhost` PROCEDURE prepare_report()
BEGIN
  -- A comment names date_format = 1 and @@tx_isolation; neither is used.
  SET SESSION max_tmp_tables = 16;
  SELECT COUNT(*) FROM articles;
END //

CREATE DEFINER = `legacy`@`localhost` FUNCTION price_of(n INT) RETURNS TEXT DETERMINISTIC
  RETURN CONCAT('SET max_', n) //
DELIMITER ;
