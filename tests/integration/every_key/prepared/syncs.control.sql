CREATE SCHEMA s;
CREATE TABLE s.seen (id integer PRIMARY KEY, at timestamptz);
