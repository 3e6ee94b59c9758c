create table if not exists shop.filled (id int primary key, note text);
insert into shop.filled values (1, 'a; b'), (2, $$c$$) on conflict do nothing;
