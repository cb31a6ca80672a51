-- The same file name as in the other package.
ALTER TABLE things ADD COLUMN colour text;
