"""The database: connections, sessions, transactions, and the meaning of its errors."""
