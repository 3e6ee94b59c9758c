SELECT o.ordered_on AS day, c.city, count(*) AS orders, sum(o.amount) AS revenue
  FROM shop.order AS o
  JOIN shop.customer AS c ON c.id = o.customer_id
 GROUP BY o.ordered_on, c.city
