-- Transits that a customer's server can be led to. One whose addresses do not do for that is known, and offered to
-- nobody: addresses.py says what it lacks.
CREATE VIEW pool AS
SELECT * FROM servers
WHERE kind = 'transit' AND state <> 'removed' AND family(management_address) = 4
    AND lan_address IS NOT NULL AND lan_address6 IS NOT NULL;
