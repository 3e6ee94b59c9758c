-- Earlier versions append the ids to `path`, behind an arrow, and may do so beside this one while
-- hosts are brought up to date. So the column may be empty, and the statement `audit` looks in both
-- places. Rows of before stay as they are: earlier versions go on showing their ids, no row is
-- rewritten, and the table is locked for a moment only.
ALTER TABLE headrace.audit ADD COLUMN concerns text;

COMMENT ON COLUMN headrace.audit.concerns IS 'The runs and jobs that were made or changed, by their ids; null where there are none, and in rows of programs that knew the schema only up to 0023: those have them in `path`, behind an arrow.';
