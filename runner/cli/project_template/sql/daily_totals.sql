-- One row for each day and region; `into` replaces the table's rows by these.
SELECT ordered_on, region, count(*) AS orders, sum(amount) AS amount
FROM staging.orders
GROUP BY ordered_on, region
