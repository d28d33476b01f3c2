package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchcycle/patchcycle/store"
)

// watch is after how long without a word the holder of the server lock asks
// whether it still holds it, and how long it waits for the answer.
const watch = 5 * time.Second

// serverLock is held by a connection of its own: it lasts as long as the
// session, and ends with it however the process ends.
type serverLock struct {
	conn *pgx.Conn
	lost chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

// LockServer takes an advisory lock of the database.
func (d *dialect) LockServer(ctx context.Context, wait bool) (<-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock != nil {
		return d.lock.lost, nil
	}
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return nil, fmt.Errorf("connect for the server lock: %w", err)
	}
	if err := take(ctx, conn, wait); err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &serverLock{conn: conn, lost: make(chan struct{}), stop: stop, done: make(chan struct{})}
	go l.watch(watching)
	d.lock = l
	return l.lost, nil
}

func take(ctx context.Context, conn *pgx.Conn, wait bool) error {
	if wait {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1::int, $2::int)", ours, serverKey); err != nil {
			return fmt.Errorf("wait for the active server to end: %w", err)
		}
		return nil
	}
	var ok bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1::int, $2::int)", ours, serverKey).Scan(&ok); err != nil {
		return fmt.Errorf("take the server lock: %w", err)
	}
	if !ok {
		return store.ErrServerRuns
	}
	return nil
}

// watch closes lost when the session has ended: at once if the server says so,
// else when it does not answer.
func (l *serverLock) watch(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		if !l.alive(ctx) && ctx.Err() == nil {
			close(l.lost)
			return
		}
	}
}

// alive waits for the session to break, then asks whether it still answers.
func (l *serverLock) alive(ctx context.Context) bool {
	quiet, cancel := context.WithTimeout(ctx, watch)
	defer cancel()
	if _, err := l.conn.WaitForNotification(quiet); err != nil && quiet.Err() == nil {
		return false
	}
	answer, cancel := context.WithTimeout(ctx, watch)
	defer cancel()
	return l.conn.Ping(answer) == nil
}

// Close gives the server lock back.
func (d *dialect) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	l := d.lock
	d.lock = nil
	l.stop()
	<-l.done
	ctx, cancel := context.WithTimeout(context.Background(), watch)
	defer cancel()
	if err := l.conn.Close(ctx); err != nil && !l.conn.IsClosed() {
		return fmt.Errorf("give the server lock back: %w", err)
	}
	return nil
}
