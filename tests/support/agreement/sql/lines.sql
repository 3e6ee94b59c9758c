select id, region
  from shop.orders
 where region in ({% for name in params.names %}{{ name }}{% if not loop.last %}, {% endif %}{% endfor %})
    or amount > {{ 3 }}
