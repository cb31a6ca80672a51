-- What the last change of an item replaced: its rows of media_metadata are deleted by these values. The projection of a
-- batch writes and reads them in one statement; see put_media in projection.sql.
ALTER TABLE media
    ADD COLUMN replaced_kind text,
    ADD COLUMN replaced_created_at bigint,
    ADD COLUMN replaced_pairs uuid[];
