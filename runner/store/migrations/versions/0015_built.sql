-- The pipeline as it was read, with its folder's defaults and its calendars' days: the text of its
-- file alone is not enough where one of those, or a job class, is what is broken.
ALTER TABLE headrace.pipeline ADD COLUMN built bytea;
