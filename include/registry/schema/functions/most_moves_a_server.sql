-- Of how many over moves a server may be the source or the target at a time.
CREATE OR REPLACE FUNCTION most_moves_a_server() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2';
