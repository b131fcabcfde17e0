-- The number is for people who read logs; what makes a key is the rest.
CREATE OR REPLACE FUNCTION new_key(letter text, number bigint) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT format('%s%s-%s', letter, number, left(replace(gen_random_uuid()::text, '-', ''), 12))
$$;
