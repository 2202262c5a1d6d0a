"""Forward migrations, numbered; a new database is `schema.sql` and has them all."""
