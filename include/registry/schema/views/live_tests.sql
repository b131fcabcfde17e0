-- Tests of which a copy is there, or may be.
CREATE VIEW live_tests AS
SELECT * FROM tests WHERE state <> 'removed';
