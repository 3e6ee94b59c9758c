-- The seed's table: people in five departments. May be run again at any time.
SELECT pg_advisory_xact_lock(hashtext('auth.users'));
CREATE SCHEMA IF NOT EXISTS auth;

CREATE TABLE IF NOT EXISTS auth.users (
    id         integer PRIMARY KEY,
    name       text NOT NULL,
    department text NOT NULL,
    salary     numeric(12, 2) NOT NULL
);

INSERT INTO auth.users (id, name, department, salary)
SELECT n,
       'User ' || n,
       (ARRAY['Engineering', 'Finance', 'Marketing', 'Sales', 'Support'])[1 + n % 5],
       30000 + 250 * (n * 37 % 200)
  FROM generate_series(1, 1000) AS n
ON CONFLICT (id) DO UPDATE
   SET name = EXCLUDED.name, department = EXCLUDED.department, salary = EXCLUDED.salary;
