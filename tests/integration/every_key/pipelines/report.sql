create table if not exists q.reported (n int);
select current_user::text as who, id from q.orders where id >= {{ params.least }} order by id
