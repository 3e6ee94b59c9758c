-- One region's orders.
{% if params.region == 'eu' %}
insert into shop.scratch (note) values ({{ params.region }});
{% endif %}
select count(*) as orders, {{ params.at }} as at
  from {{ 'shop.orders' | identifier }}
 where region in {{ [params.region, 'none'] | inlist }}
