select * from e.orders where id >= {{ params.least }} order by id
