package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/usage"
	"github.com/patchcycle/patchcycle/worker/engine"
)

// baselineCommand runs the baselines in a process of their own, which has the
// engine and the worker in it, as the server has.
const baselineCommand = "baseline"

// How much the baselines do.
const (
	baseTransactions = 2000
	baseWorkflows    = 200
	baseAtOnce       = 50
)

func runBaseline(ctx context.Context, db *database, dir string) (out baselineResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	args := []string{baselineCommand, "-dir", dir}
	if db != nil {
		at, err := db.fresh(ctx)
		if err != nil {
			return out, err
		}
		args = append(args, "-database", at, "-admin", db.admin)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return out, err
	}
	return out, json.Unmarshal(stdout.Bytes(), &out)
}

// baseline is the child's part.
func baseline(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet(baselineCommand, flag.ContinueOnError)
	dir := fs.String("dir", "", "folder")
	at := fs.String("database", "", "URL of the database; empty: SQLite")
	admin := fs.String("admin", "", "URL of its database \"postgres\"")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	var db *database
	if *admin != "" {
		var err error
		if db, err = attach(ctx, *admin); err != nil {
			return err
		}
	}
	var out baselineResult
	var err error
	if out.Transaction, err = transactions(ctx, db, *at, *dir); err != nil {
		return fmt.Errorf("transactions: %w", err)
	}
	if out.Workflow, err = workflowPerMachine(ctx, db, *at, *dir); err != nil {
		return fmt.Errorf("a workflow per machine: %w", err)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// transactions writes one row of 200 bytes in each durable transaction, one
// after the other.
func transactions(ctx context.Context, db *database, at, dir string) (unit, error) {
	file := "file:" + filepath.Join(dir, "bare.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	conn, err := sql.Open("sqlite", file)
	if db != nil {
		conn, err = sql.Open("pgx", at)
	}
	if err != nil {
		return unit{}, err
	}
	defer conn.Close()
	conn.SetMaxOpenConns(1)
	if _, err := conn.ExecContext(ctx, "CREATE TABLE bare (n BIGINT PRIMARY KEY, body TEXT)"); err != nil {
		return unit{}, err
	}
	body := string(bytes.Repeat([]byte("x"), 200))
	return timed(db, baseTransactions, func() error {
		for n := range baseTransactions {
			if _, err := conn.ExecContext(ctx, "INSERT INTO bare VALUES ($1, $2)", n, body); err != nil {
				return err
			}
		}
		return nil
	})
}

// workflowPerMachine runs, for each machine, a workflow with one activity that
// does nothing: the least that a design with a workflow per machine would do.
func workflowPerMachine(ctx context.Context, db *database, at, dir string) (workflowUnit, error) {
	o := engine.Options{Dir: filepath.Join(dir, "engine")}
	if db != nil {
		o.Postgres = &engine.Postgres{URL: at}
	}
	e, err := engine.Start(ctx, o)
	if err != nil {
		return workflowUnit{}, err
	}
	defer e.Stop()
	const queue = "machines"
	w := worker.New(e.Client(), queue, worker.Options{MaxConcurrentActivityTaskPollers: 4, MaxConcurrentWorkflowTaskPollers: 4})
	w.RegisterWorkflowWithOptions(machineWorkflow, workflow.RegisterOptions{Name: "Machine"})
	w.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: "nothing"})
	if err := w.Start(); err != nil {
		return workflowUnit{}, err
	}
	defer w.Stop()
	if err := pause.For(ctx, 5*time.Second); err != nil { // what the start leaves behind is not the workflows'
		return workflowUnit{}, err
	}
	runs := make([]client.WorkflowRun, baseWorkflows)
	var out workflowUnit
	out.unit, err = timed(db, baseWorkflows, func() error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(baseAtOnce)
		for n := range runs {
			group.Go(func() (err error) {
				runs[n], err = e.Client().ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fmt.Sprint("machine/", n), TaskQueue: queue}, "Machine")
				if err != nil {
					return err
				}
				return runs[n].Get(ctx, nil)
			})
		}
		return group.Wait()
	})
	if err != nil {
		return out, err
	}
	for _, r := range runs {
		d, err := e.Client().DescribeWorkflowExecution(ctx, r.GetID(), r.GetRunID())
		if err != nil {
			return out, err
		}
		out.Transitions += float64(d.GetWorkflowExecutionInfo().GetStateTransitionCount()) / baseWorkflows
		out.Events += float64(d.GetWorkflowExecutionInfo().GetHistoryLength()) / baseWorkflows
		out.Bytes += float64(d.GetWorkflowExecutionInfo().GetHistorySizeBytes()) / baseWorkflows
	}
	return out, nil
}

func machineWorkflow(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	return workflow.ExecuteActivity(ctx, "nothing").Get(ctx, nil)
}

// timed measures n things that this process does.
func timed(db *database, n int, do func() error) (unit, error) {
	began, cpu, dbCPU := time.Now(), usage.CPU(os.Getpid()), db.seconds()
	err := do()
	each := 1000 / float64(n)
	u := unit{
		N: n, WallMS: each * time.Since(began).Seconds(), CPUMS: each * (usage.CPU(os.Getpid()) - cpu), DatabaseMS: each * (db.seconds() - dbCPU),
	}
	if u.CPUMS == 0 {
		err = errors.Join(err, errors.New("/proc does not say how much CPU this process used"))
	}
	return u, err
}
