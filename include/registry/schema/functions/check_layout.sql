-- A whole account goes where its parts have the same places.
CREATE OR REPLACE FUNCTION check_layout(account_ text, from_ text, to_ text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF layout_of(from_) <> layout_of(to_) THEN
        PERFORM refuse(format('Account %s lives on %s, whose layout is %s, and %s has the layout %s: choose a server of '
            'the same layout.', account_, from_, layout_of(from_), to_, layout_of(to_)));
    END IF;
END $$;
