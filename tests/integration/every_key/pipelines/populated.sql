create table q.populated (id int primary key, name text);
insert into q.populated values (1, 'Ann'), (2, 'Bob');
