CREATE OR REPLACE FUNCTION refuse_untested(accounts_ text[], entry_ text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    why text[] := ARRAY(SELECT untested(accounts_, entry_));
BEGIN
    IF cardinality(why) > 0 THEN
        PERFORM refuse(array_to_string(why[1:5], ' ')
            || CASE WHEN cardinality(why) > 5 THEN format(' And %s accounts more.', cardinality(why) - 5) ELSE '' END);
    END IF;
END $$;
