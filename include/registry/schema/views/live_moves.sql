-- Moves that are under way.
CREATE VIEW live_moves AS
SELECT * FROM moves WHERE state NOT IN ('done', 'returned');
