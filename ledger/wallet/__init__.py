"""A workspace's balance in one bucket: funds in and out, freezing, credit limit, exchange."""
