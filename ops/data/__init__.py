"""The configured database: migrations, a SQL prompt, backups, bulk transfers."""
