-- How late flights leave, by the wind in the hour of their departure, in steps of 5 mph.
SELECT f.origin,
       (5 * floor(w.wind_speed / 5))::integer AS wind_from_mph,
       count(*)                               AS flights,
       round(avg(f.dep_delay), 2)             AS mean_dep_delay
  FROM flights.flight AS f
  JOIN flights.weather AS w USING (origin, time_hour)
 WHERE w.wind_speed IS NOT NULL AND f.dep_delay IS NOT NULL
 GROUP BY 1, 2
 ORDER BY 1, 2
