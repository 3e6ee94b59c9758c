select id from q.orders where id >= {{ params.least }}
