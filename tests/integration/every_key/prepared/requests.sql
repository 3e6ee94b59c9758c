CREATE SCHEMA h;
CREATE TABLE h.posted (id integer);
INSERT INTO h.posted VALUES (9);
CREATE TABLE h.lines (id integer PRIMARY KEY, at date);
CREATE TABLE h.lines_too (id integer PRIMARY KEY, at date);
CREATE TABLE h.synced_columns (id smallint, old text);
CREATE TABLE h.header_links (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE h.recreated (old text);
