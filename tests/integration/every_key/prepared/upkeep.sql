CREATE SCHEMA u;
CREATE TABLE u.orders (id integer PRIMARY KEY, day date);
INSERT INTO u.orders VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-03'), (4, '9999-01-01');
CREATE TABLE u.vacuumed AS SELECT 1 AS id;
CREATE TABLE u.rebuilt (id integer PRIMARY KEY);
CREATE TABLE u.before AS
    SELECT pg_relation_filenode('u.rebuilt_pkey') AS index, pg_relation_filenode('u.vacuumed') AS heap;
CREATE TABLE u.event (day date) PARTITION BY RANGE (day);
CREATE TABLE u.event_1 PARTITION OF u.event FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
CREATE TABLE u.event_2 PARTITION OF u.event FOR VALUES FROM ('2001-01-01') TO ('2002-01-01');
CREATE TABLE u.event_3 PARTITION OF u.event FOR VALUES FROM ('9001-01-01') TO ('9002-01-01');
CREATE TABLE u.hours (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE u.days (at date) PARTITION BY RANGE (at);
CREATE TABLE u.weeks (at date) PARTITION BY RANGE (at);
CREATE TABLE u.months (at date) PARTITION BY RANGE (at);
CREATE TABLE u.quarters (at date) PARTITION BY RANGE (at);
