// Package engine runs durable jobs over River, on SQLite and on PostgreSQL.
//
// It promises: a job inserted in a transaction exists exactly when that transaction commits, and is then tried until a try succeeds, a
// failure is permanent, its tries are used up, or it is canceled. A job may run twice, late, or beside a stalled twin; what it changes must be
// fenced by its own state. The engine fences what is the engine's: every move of a running job names the try and the worker that make it, so that a
// worker that was taken for lost can't end the try of another.
//
// It costs one write a second per process (the beat), a few reads a second per queue, and two writes a job.
//
// When a process dies, its beat falls silent and its jobs are free again after Config.LostAfter. When the database is away, running work goes on and is
// settled when the database is back. When a process stops in order, its jobs are free at once and no try is counted.
package engine
