CREATE OR REPLACE FUNCTION last_event() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq
$$;
