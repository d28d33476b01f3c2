package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// Serves Q1: what waits must outlive the server.
func TestAnEngineTakesUpWhatRanBefore(t *testing.T) {
	for name, o := range map[string]engine.Options{
		"on SQLite, in a folder with an odd name": {Dir: filepath.Join(t.TempDir(), "état #1, 100% ?")},
		"on PostgreSQL": {Dir: t.TempDir(), Postgres: &engine.Postgres{
			URL: pgtest.Start(t), Database: "taken_up", Visibility: "taken_up_visibility",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o.SearchAttributes = map[string]enums.IndexedValueType{"PcCycle": enums.INDEXED_VALUE_TYPE_KEYWORD}
			first := startEngine(t, o)
			run, err := first.Client().ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "cycle/server/2026-11.1", TaskQueue: "none"}, "Cycle")
			require.NoError(t, err)
			addr := first.Addr()
			first.Stop()
			first.Stop() // harmless
			_, err = net.DialTimeout("tcp", addr, time.Second)
			require.Error(t, err, "it still listens")

			for number := range enums.IndexedValueType_name { // a newer release has more, of all types
				if typ := enums.IndexedValueType(number); typ != enums.INDEXED_VALUE_TYPE_UNSPECIFIED {
					o.SearchAttributes["Pc"+typ.String()] = typ
				}
			}
			o.Retention = 48 * time.Hour
			again := startEngine(t, o)
			require.Equal(t, addr, again.Addr(), "the port changed")
			d, err := again.Client().DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
			require.NoError(t, err)
			require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, d.GetWorkflowExecutionInfo().GetStatus())
			_, err = again.Client().CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: "PcDatetime > '2026-01-01T00:00:00Z' AND PcInt = 3"})
			require.NoError(t, err)
			ns, err := again.Client().WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "patchcycle"})
			require.NoError(t, err)
			require.Equal(t, o.Retention, ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
		})
	}
}

// The child is killed with kill -9 while it serves.
func TestAKilledEngineIsTakenUp(t *testing.T) {
	if dir := os.Getenv("ENGINE_TO_KILL"); dir != "" {
		e := startEngine(t, engine.Options{Dir: dir})
		_, err := e.Client().ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "cycle/1", TaskQueue: "none"}, "Cycle")
		require.NoError(t, err)
		fmt.Fprintln(os.Stdout, "serving at", e.Addr())
		time.Sleep(time.Minute)
		t.Fatal("was not killed")
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "ENGINE_TO_KILL="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	text := make([]byte, 256)
	n, err := out.Read(text)
	require.NoError(t, err)
	addr, ok := strings.CutPrefix(strings.TrimSpace(string(text[:n])), "serving at ")
	require.True(t, ok, "the child says: %s", text[:n])
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // "signal: killed"

	began := time.Now()
	e := startEngine(t, engine.Options{Dir: dir})
	t.Logf("serves %s after the kill", time.Since(began).Round(time.Millisecond))
	require.Equal(t, addr, e.Addr())
	require.NoError(t, e.Client().SignalWorkflow(t.Context(), "cycle/1", "", "approve", nil))
}

func TestOnlyOneEngineRunsOnAFolder(t *testing.T) {
	dir := t.TempDir()
	startEngine(t, engine.Options{Dir: dir})
	requireNoStart(t, engine.Options{Dir: dir}, "another patchcycle is running on "+dir)
	_, err := engine.SetAside(dir, time.Now())
	require.ErrorContains(t, err, "another patchcycle is running on "+dir)
}

func TestAPortThatIsTakenIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	requireNoStart(t, engine.Options{Dir: t.TempDir(), Port: port}, fmt.Sprintf("port %d of 127.0.0.1 is taken", port), "choose another port")
	requireNoStart(t, engine.Options{Dir: t.TempDir(), IP: "127.0.0.1", Port: -1}, "option Port")

	dir := t.TempDir() // a remembered port is only a wish
	require.NoError(t, os.WriteFile(filepath.Join(dir, "engine.port"), []byte(strconv.Itoa(port)), 0o600))
	require.NotEqual(t, l.Addr().String(), startEngine(t, engine.Options{Dir: dir}).Addr())
}

func TestAnotherServersSQLiteFileIsRefusedWithTheWayOut(t *testing.T) {
	dir := t.TempDir()
	startEngine(t, engine.Options{Dir: dir}).Stop()
	db, err := os.Stat(filepath.Join(dir, "temporal.db"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), db.Mode().Perm())
	if wal, err := os.Stat(filepath.Join(dir, "temporal.db-wal")); err == nil {
		require.Zero(t, wal.Size(), "a copy of the file alone would lack what the log holds")
	}
	file := filepath.Join(dir, "engine.json")
	wayOut := []string{filepath.Join(dir, "temporal.db"), "Temporal 1.32.", "previous patchcycle", "patchcycle engine rebuild"}

	edit := func(change func(r map[string]any)) {
		t.Helper()
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		r := map[string]any{}
		require.NoError(t, json.Unmarshal(text, &r))
		change(r)
		text, err = json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	edit(func(r map[string]any) { r["server_version"] = "1.32.99" })
	startEngine(t, engine.Options{Dir: dir}).Stop()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(text), "1.32.99", "a patch release with the same tables is taken over and recorded")

	edit(func(r map[string]any) { r["server_version"] = "1.31.5" })
	requireNoStart(t, engine.Options{Dir: dir}, append(wayOut, "1.31.5")...)
	require.NoError(t, os.Remove(file))
	requireNoStart(t, engine.Options{Dir: dir}, append(wayOut, "has no record")...)

	moved, err := engine.SetAside(dir, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	require.FileExists(t, moved)
	e := startEngine(t, engine.Options{Dir: dir})
	list, err := e.Client().ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{})
	require.NoError(t, err)
	require.Empty(t, list.GetExecutions(), "it runs on the file that was set aside")
}

func TestAFileThatIsNoDatabaseIsNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "temporal.db"), []byte(strings.Repeat("not a database ", 100)), 0o600))
	requireNoStart(t, engine.Options{Dir: dir}, filepath.Join(dir, "temporal.db"))
}

func TestANewerSchemaInPostgresIsRefused(t *testing.T) {
	url := pgtest.Start(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `CREATE TABLE schema_version (version_partition int, db_name text, curr_version text);
		INSERT INTO schema_version VALUES (0, current_database(), '99.1')`)
	require.NoError(t, err)
	var database string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&database))
	requireNoStart(t, engine.Options{Dir: t.TempDir(), Postgres: &engine.Postgres{URL: url, Database: database}},
		"database "+database+" has Temporal's schema 99.1", "a newer patchcycle")
}

func TestAUserWhoMayNotCreateDatabasesIsToldWhatToAskFor(t *testing.T) {
	const odd = "it's+100%/@:?"
	server := pgtest.Start(t)
	conn, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE ROLE humble LOGIN PASSWORD '"+strings.ReplaceAll(odd, "'", "''")+"'")
	require.NoError(t, err)
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.User = url.UserPassword("humble", "a space")
	requireNoStart(t, engine.Options{Dir: t.TempDir(), Postgres: &engine.Postgres{URL: u.String()}}, "option Postgres.URL", "holds a space")
	u.User = url.UserPassword("humble", odd)
	requireNoStart(t, engine.Options{Dir: t.TempDir(), Postgres: &engine.Postgres{URL: u.String(), Database: "absent"}},
		`user humble may not create database absent`, `CREATE DATABASE "absent" OWNER "humble"`)
}

// requireNoStart starts an engine that must fail, with an error that says all
// of words.
func requireNoStart(t *testing.T, o engine.Options, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := engine.Start(ctx, o)
	if err == nil {
		e.Stop()
	}
	require.Error(t, err)
	for _, w := range words {
		require.ErrorContains(t, err, w)
	}
}

func TestEveryWrongOptionIsNamed(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]engine.Options{
		"Dir":                 {},
		"IP":                  {Dir: dir, IP: "localhost"},
		"Port":                {Dir: dir, Port: 65536},
		"TLSCert":             {Dir: dir, TLSCert: "only-half.pem"},
		"Namespace":           {Dir: dir, Namespace: "white space"},
		"Retention":           {Dir: dir, Retention: time.Hour},
		"ProductToken":        {Dir: dir, ProductToken: "guess me"},
		"SearchAttributes":    {Dir: dir, SearchAttributes: map[string]enums.IndexedValueType{"X": 0}},
		"Postgres.URL":        {Dir: dir, Postgres: &engine.Postgres{URL: "mysql://x"}},
		"External.Address":    {External: &engine.External{Address: "temporal"}},
		"External.Token":      {External: &engine.External{Address: "temporal.example:7233", Token: "t"}},
		"External.CertFile":   {External: &engine.External{Address: "temporal.example:7233", CertFile: "c"}},
		"UI":                  {UI: true, External: &engine.External{Address: "temporal.example:7233"}},
		"Postgres":            {Postgres: &engine.Postgres{}, External: &engine.External{Address: "temporal.example:7233"}},
		"External.CAFile":     {External: &engine.External{Address: "temporal.example:7233", CAFile: filepath.Join(dir, "none")}},
		"TLSKey":              {Dir: dir, TLSKey: "only-half.pem"},
		"Postgres.Visibility": {Dir: dir, Postgres: &engine.Postgres{URL: "postgres://x@y/z", Database: "same", Visibility: "same"}},
	}
	for field, o := range cases {
		t.Run(field, func(t *testing.T) { requireNoStart(t, o, "option ", field) })
	}
	requireNoStart(t, engine.Options{Dir: dir, IP: "0.0.0.0"}, "option IP", "in the clear", "TLSCert")
	requireNoStart(t, engine.Options{Dir: dir, IP: "192.0.2.1", TLSCert: "none", TLSKey: "none"}, "option TLSCert")
}

func TestRefusedCallersLeaveNothingInTheLog(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	e := startEngine(t, engine.Options{Logger: zap.New(core, zap.AddStacktrace(zap.InfoLevel))})
	for _, token := range []string{"", gate.NewToken()} {
		o := client.Options{HostPort: e.Addr(), Namespace: "patchcycle"}
		if token != "" {
			o.HeadersProvider = gate.Bearer(token)
		}
		c, err := client.NewLazyClient(o)
		require.NoError(t, err)
		require.Error(t, c.SignalWorkflow(t.Context(), "cycle/1", "", "approve", nil))
		c.Close()
	}
	e.Stop()
	for _, entry := range logs.All() {
		require.Less(t, entry.Level, zap.WarnLevel, "%s %v", entry.Message, entry.ContextMap())
		require.Empty(t, entry.Stack)
	}
}
