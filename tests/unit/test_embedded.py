def test_x(database, redis_url, empty_database, own_servers): print(database, redis_url)
def test_y(database): pass
