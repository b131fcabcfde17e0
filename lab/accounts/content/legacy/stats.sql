CREATE EXTENSION adminpack;
CREATE TABLE pages (url text PRIMARY KEY, visits bigint NOT NULL, host inet, notes text[]);
INSERT INTO pages VALUES ('/', 41, '@ADDRESS@', '{}'), ('/about', 1, NULL, '{"seen from @ADDRESS@.", "@ADDRESS@1"}');
CREATE TABLE prices (id int PRIMARY KEY, price money, former money[]);
CREATE FUNCTION keep_log() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- pg_file_rename is named in a comment here
  PERFORM pg_file_rename('a', 'b');
END $$;
CREATE FUNCTION keep_nothing() RETURNS void LANGUAGE plpgsql SET force_parallel_mode = off AS $$
BEGIN
  /* pg_file_rename('a', 'b') */
  NULL;
END $$;
CREATE VIEW busy AS SELECT url FROM pages WHERE visits > 10;
