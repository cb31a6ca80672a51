-- A table, an index, and a function whose body has semicolons.
CREATE TABLE things (id int PRIMARY KEY, note text NOT NULL DEFAULT 'a; b % c');
CREATE INDEX things_note ON things (note);
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.note := NEW.note || '!';
    RETURN NEW;
END;
$$;
