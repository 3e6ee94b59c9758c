-- One row for each day and carrier.
SELECT make_date(f.year, f.month, f.day)                       AS day,
       f.carrier,
       a.name                                                  AS airline,
       count(*)                                                AS flights,
       count(*) FILTER (WHERE f.dep_time IS NULL)              AS cancelled,
       count(*) FILTER (WHERE f.arr_delay > {{ params.late_minutes }}::integer) AS late,
       round(avg(f.dep_delay), 2)                              AS mean_dep_delay,
       round(avg(f.arr_delay), 2)                              AS mean_arr_delay,
       sum(f.distance)                                         AS miles
  FROM flights.flight AS f
  JOIN flights.airline AS a USING (carrier)
 GROUP BY 1, 2, 3
 ORDER BY 1, 2
