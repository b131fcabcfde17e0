-- Migrations that are under way.
CREATE VIEW live_migrations AS
SELECT * FROM migrations WHERE state NOT IN ('done', 'failed', 'cancelled');
