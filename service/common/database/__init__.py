"""The database: connections, sessions, transactions, and what its errors mean."""
