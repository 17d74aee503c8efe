package engine

import (
	"context"
	"database/sql"
	"sync"
)

// mostPrepared bounds how many texts are kept prepared: ours are some hundred, all written in the sources.
const mostPrepared = 500

// prepared keeps SQLite's statements ready for the next transaction that reads: parsing one takes longer than most take to answer. (pgx does so by itself.) A text is run as
// it is the first time, and prepared when its transaction is over, because preparing needs a connection of its own, and all may be taken.
type prepared struct {
	db *sql.DB

	mu  sync.RWMutex
	all map[string]*sql.Stmt // database/sql prepares each on the connections that it comes to run on
}

// keep prepares texts. Those that can't be stay as they are: the next run says why.
func (p *prepared) keep(ctx context.Context, texts []string) {
	for _, text := range texts {
		p.mu.RLock()
		has := p.all[text] != nil || len(p.all) >= mostPrepared
		p.mu.RUnlock()
		if has {
			continue
		}
		s, err := p.db.PrepareContext(ctx, text)
		if err != nil {
			continue
		}
		p.mu.Lock()
		if p.all[text] != nil { // another was first
			_ = s.Close() //nolint:sqlclosecheck // at once: nothing was run by it
		} else {
			p.all[text] = s
		}
		p.mu.Unlock()
	}
}

// view is a transaction that runs what is prepared.
type view struct {
	*sql.Tx
	kept  *prepared
	fresh []string // texts that were run as they are
}

func (v *view) statement(ctx context.Context, text string) *sql.Stmt {
	v.kept.mu.RLock()
	s := v.kept.all[text]
	v.kept.mu.RUnlock()
	if s == nil {
		v.fresh = append(v.fresh, text)
		return nil
	}
	return v.StmtContext(ctx, s)
}

// QueryContext implements Statements.
func (v *view) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s := v.statement(ctx, text); s != nil { //nolint:sqlclosecheck // its transaction closes it
		return s.QueryContext(ctx, args...)
	}
	return v.Tx.QueryContext(ctx, text, args...)
}

// QueryRowContext implements Statements.
func (v *view) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	if s := v.statement(ctx, text); s != nil { //nolint:sqlclosecheck // its transaction closes it
		return s.QueryRowContext(ctx, args...)
	}
	return v.Tx.QueryRowContext(ctx, text, args...)
}
