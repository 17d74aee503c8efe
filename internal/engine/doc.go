// Package engine runs durable jobs over River, on SQLite and on PostgreSQL.
package engine
