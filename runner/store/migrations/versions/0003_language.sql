-- `when` of a step: looked at by the gate, once the trigger rule lets the job pass.
ALTER TABLE headrace.job ADD COLUMN when_expr text;
-- Its failure counts as a success for what comes after, and for the run.
ALTER TABLE headrace.job ADD COLUMN allow_failure boolean NOT NULL DEFAULT false;
