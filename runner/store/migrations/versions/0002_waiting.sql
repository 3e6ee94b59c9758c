-- Waiting jobs are looked over every few seconds for one that nobody has lowered.
CREATE INDEX job_waiting ON headrace.job (id) WHERE status = 'waiting';
