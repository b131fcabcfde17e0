CREATE DATABASE mailserver CHARACTER SET utf8mb4;
USE mailserver;
CREATE TABLE virtual_domains (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name varchar(190) NOT NULL UNIQUE
);
CREATE TABLE virtual_users (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain_id int NOT NULL,
    email varchar(190) NOT NULL UNIQUE,
    password varchar(200) NOT NULL,
    home varchar(250) NOT NULL,
    uid int NOT NULL,
    gid int NOT NULL,
    FOREIGN KEY (domain_id) REFERENCES virtual_domains (id) ON DELETE CASCADE
);
CREATE TABLE virtual_aliases (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain_id int NOT NULL,
    source varchar(190) NOT NULL,
    destination text NOT NULL,
    FOREIGN KEY (domain_id) REFERENCES virtual_domains (id) ON DELETE CASCADE
);
CREATE USER 'mailserver'@'localhost' IDENTIFIED BY 'transit-of-letters';
GRANT SELECT ON mailserver.* TO 'mailserver'@'localhost';
