CREATE SCHEMA c;
CREATE TABLE c.person (id integer PRIMARY KEY, a text, b text, c text, d text, e text, f text, g text,
    h text, i text, j text, k text);
INSERT INTO c.person SELECT 1, v, v, v, v, v, v, v, v, v, v, v FROM (VALUES ('abcdef')) AS t (v);
INSERT INTO c.person (id, a) VALUES (2, 'other');
CREATE TABLE c.numbered (id serial PRIMARY KEY, note text);
INSERT INTO c.numbered (note) SELECT 'n' FROM generate_series(1, 50);
CREATE SCHEMA c_not_valid;
CREATE SCHEMA c_without;
