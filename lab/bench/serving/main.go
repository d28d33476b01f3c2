// Command serving measures how a relay serves packages that it has, beside nginx: the
// shipped relay and nginx get the same files and the same certificate, and the same
// client asks them in turn, over loopback. Nothing else should run meanwhile.
//
// Nginx serves the files from a folder, which is the most that it can do.
//
//	go run ./lab/bench/serving -rounds 7 -out folder
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/patchcycle/patchcycle/internal/freeport"
	"github.com/patchcycle/patchcycle/lab/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := serving(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "serving:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds int
	bytes  int64
	out    string
}

func parse(args []string) (o options, err error) {
	fs := flag.NewFlagSet("serving", flag.ContinueOnError)
	fs.IntVar(&o.rounds, "rounds", 7, "pairs of runs, one on each server, of each case")
	fs.Int64Var(&o.bytes, "bytes", 2e9, "bytes of one run, at least; a file each client gets in any case")
	fs.StringVar(&o.out, "out", "", "folder for results (default: a new one)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.bytes < 1 {
		return o, errors.New("-rounds and -bytes: want numbers from 1")
	}
	return o, nil
}

func serving(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	nginx, err := findNginx()
	if err != nil {
		return err
	}
	if o.out, err = measure.Folder(o.out); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pcb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	program, err := measure.Build(ctx, work, "patchcycle-relay")
	if err != nil {
		return err
	}
	r := result{Head: measure.Begin(ctx, "./lab/bench/serving", args), Nginx: nginx.version(ctx)}
	failed := r.measure(ctx, o, program, nginx, work)
	r.End()
	if err := errors.Join(failed, measure.Keep(filepath.Join(o.out, "serving.json"), r)); err != nil {
		return err
	}
	return r.print(os.Stdout)
}

// measure starts both servers on the same files and certificate, and lets them serve
// by turns.
func (r *result) measure(ctx context.Context, o options, program string, nginx nginxProgram, work string) error {
	goods, err := makeGoods(filepath.Join(work, "files"), map[int]int{1: 64, 60: 4})
	if err != nil {
		return err
	}
	origin := goods.open()
	defer origin.Close()
	own, err := makeCertificate(work)
	if err != nil {
		return err
	}
	ports, err := freeport.Quiet.Choose("127.0.0.1", 4)
	if err != nil {
		return err
	}
	at := func(n int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[n])) }
	away, err := nginx.start(ctx, filepath.Join(work, "nginx"), goods.dir, at(0), at(1), own)
	if err != nil {
		return err
	}
	defer away.stop()
	below := goods.below()
	for n, secure := range []bool{false, true} {
		args := []string{"run", "--server", origin.URL, "--listen", at(2 + n), "--dir", filepath.Join(work, "relay"+strconv.Itoa(n)), "--name", "bench"}
		theirs, ours := target{"http://" + at(0), away.pid()}, target{"http://" + at(2) + below, 0}
		if secure {
			args = append(args, "--cert", own.cert, "--key", own.key)
			theirs.base, ours.base = "https://"+at(1), "https://"+at(3)+below
		}
		relay, err := startProcess(ctx, at(2+n), filepath.Join(work, "relay.log"), program, args...)
		if err != nil {
			return err
		}
		ours.pid = relay.pid()
		err = r.compare(ctx, o, secure, goods, own, ours, theirs)
		relay.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// compare measures each size and number of clients, both servers in turn.
func (r *result) compare(ctx context.Context, o options, secure bool, goods *goods, own certificate, ours, theirs target) error {
	for _, kind := range goods.kinds {
		for _, t := range []target{ours, theirs} {
			if err := firstLook(ctx, own, t, kind); err != nil {
				return err
			}
		}
		for _, clients := range []int{1, 32} {
			c := paired{TLS: secure, FileMB: kind.mb, Clients: clients}
			l := load{kind: kind, clients: clients, bytes: o.bytes, own: own}
			for n := range o.rounds {
				var p pair
				var err error
				do := []func(){
					func() { p.Relay, err = l.run(ctx, ours) },
					func() { p.Nginx, err = l.run(ctx, theirs) },
				}
				for i := range do { // each one is the first every other time
					if do[(i+n)%2](); err != nil {
						return err
					}
				}
				c.Pairs = append(c.Pairs, p)
			}
			measure.Say("%s: %s", c.name(), c.words())
			r.Cases = append(r.Cases, c)
		}
	}
	return nil
}
