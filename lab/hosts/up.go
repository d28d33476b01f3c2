//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
)

// up starts a process that keeps the lab, and returns when its machines run.
// They end with that process, whatever ends it.
func up(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if err := nspawn.Check(ctx); err != nil {
		return err
	}
	if o.stay {
		return keep(ctx, o, stderr)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, "keep", "-name", o.name, "-n", strconv.Itoa(o.machines), "-disk", strconv.Itoa(o.disk),
		"-packages", o.packages, "-own-server="+strconv.FormatBool(o.ownServer))
	// A file and no pipe, which would end with us.
	log, err := os.CreateTemp("", "lab-"+filepath.Base(o.name)+"-*.log")
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is ours to pass on
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	fmt.Fprintf(stderr, "Making lab %s; the first base takes a minute or more. Its log: %s\n", o.name, log.Name())
	for {
		if s, err := nspawn.Load(o.name); err == nil && s.Ready && s.Keeper == c.Process.Pid {
			fmt.Fprintf(stdout, "Lab %s stands: %s. Take it down with: go run ./lab/hosts down -name %[1]s\n", o.name, strings.Join(s.Hosts, ", "))
			return nil
		}
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the lab does not stand (%w): %s", err, strings.TrimSpace(string(said[max(0, len(said)-1000):])))
		case <-ctx.Done():
			_ = c.Process.Signal(syscall.SIGTERM)
			return errors.Join(context.Cause(ctx), <-ended)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// keep makes the lab and stays with it until it is told to end.
func keep(ctx context.Context, o options, stderr io.Writer) (err error) {
	began := time.Now()
	lab, err := nspawn.Up(ctx, nspawn.Options{
		Name: o.name, Packages: o.packages, OwnServer: o.ownServer, Log: stderr,
		Repositories: func(folder string) ([]nspawn.Repository, error) {
			repo, err := faults.Open(folder)
			if err == nil {
				err = repo.PublishAll(faults.Good)
			}
			if err != nil {
				return nil, err
			}
			key, err := repo.Key()
			return []nspawn.Repository{{Name: "lab", Suite: faults.Suite, Key: key, Handler: repo.Handler()}}, err
		},
	})
	if err != nil {
		return err
	}
	defer func() {
		// The context has ended: that is why we are here.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, lab.Down(clean))
	}()
	for range o.machines {
		if _, err := lab.Create(ctx, nspawn.HostOptions{DiskMB: o.disk}); err != nil {
			return err
		}
	}
	if err := nspawn.Boot(ctx, lab.Hosts()...); err != nil {
		return err
	}
	if err := lab.Ready(); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d machines run after %.1f s; each has %d updates pending. The server's address is %s, the archive for it %s.\n",
		o.machines, time.Since(began).Seconds(), lab.Base.Made.Pending, lab.Server(), lab.Upstream())
	<-ctx.Done()
	return nil
}

// change publishes or drops versions of faulty packages, written lab-slow=1.1.
func change(command string, o options) error {
	if _, err := nspawn.Load(o.name); err != nil {
		return fmt.Errorf("lab %s: %w", o.name, err)
	}
	repo, err := faults.Open(nspawn.Folder(o.name))
	if err != nil {
		return err
	}
	for _, arg := range o.args {
		name, version, ok := strings.Cut(arg, "=")
		fault := faults.Fault(name)
		switch {
		case !ok || !slices.Contains(faults.Faults(), fault):
			return fmt.Errorf("%q: write one of %v with =VERSION, of which %s is the bad one", arg, faults.Faults(), faults.Bad)
		case command == "publish":
			err = repo.Publish(faults.Package(fault, version))
		default:
			err = repo.Drop(fault, version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
