//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// behindRelay is where the server listens if a relay stands between: on the lab's own
// loopback, which no machine reaches.
const behindRelay = "127.0.0.1:7440"

// aloneRelay is where a relay listens whose machines reach nobody: for who sets it up.
const aloneRelay = "127.0.0.1:7441"

// wanTable counts what goes over the line between relay and server, in both directions,
// and from the relay to the machines.
const wanTable = `table inet wan {
	counter down { }
	counter up { }
	counter site { }
	chain output {
		type filter hook output priority filter;
		oifname "br0" counter name site
	}
	chain input {
		type filter hook input priority filter;
		tcp sport 7440 counter name down
		tcp dport 7440 counter name up
	}
}
`

// startRelay puts a relay in the server's place for machines, at its address and under
// its certificate.
func (g *ground) startRelay(ctx context.Context) error {
	log, err := os.OpenFile(g.relayLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	args := append([]string{g.relay, "run", "--server", "http://" + behindRelay, "--dir", g.relayDir(), "--name", "lab"}, g.relayDoor()...)
	c := g.lab.Command(context.WithoutCancel(ctx), args...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start the relay: %w", err)
	}
	g.relaying = c
	return nil
}

// relayDoor is where machines find the relay, or who they are that it goes to.
func (g *ground) relayDoor() []string {
	if !g.bare {
		return []string{"--listen", g.lab.Server(), "--cert", g.certFile(), "--key", g.keyFile()}
	}
	door := []string{"--listen", aloneRelay}
	if _, err := os.Stat(g.machinesFile()); err == nil {
		door = append(door, "--machines", g.machinesFile())
	}
	return door
}

func (g *ground) relayDir() string { return filepath.Join(g.dir, "relay") }
func (g *ground) relayLog() string { return filepath.Join(g.dir, "relay.log") }

// countWAN begins to count.
func (g *ground) countWAN(ctx context.Context) error {
	c := g.lab.Command(ctx, "nft", "-f", "-")
	c.Stdin = strings.NewReader(wanTable)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("count bytes: %w: %s", err, out)
	}
	return nil
}

// counted is what went over the lines, in bytes of packets, by the counters' names.
func (g *ground) counted(ctx context.Context) (map[string]int64, error) {
	out, err := g.lab.Command(ctx, "nft", "-j", "list", "counters", "table", "inet", "wan").Output()
	if err != nil {
		return nil, fmt.Errorf("read the counters: %w", err)
	}
	var all struct {
		NFTables []struct {
			Counter struct {
				Name  string `json:"name"`
				Bytes int64  `json:"bytes"`
			} `json:"counter"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, err
	}
	sums := map[string]int64{}
	for _, n := range all.NFTables {
		sums[n.Counter.Name] = n.Counter.Bytes
	}
	return sums, nil
}

// killRelay ends the relay as a power cut does, and starts it again.
func (g *ground) killRelay(ctx context.Context) error {
	g.say("kill -9 of the relay while the last ring installs")
	end(g.relaying)
	return g.startRelay(ctx)
}

func end(c *exec.Cmd) {
	_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	_ = c.Wait()
}

// requireOneCopy checks that the site fetched each package once, and says what went
// over the line.
func (g *ground) requireOneCopy(ctx context.Context, p *problems) error {
	_ = pause.For(ctx, 6*time.Second) // as often the relay tells
	s, err := relay.ReadStatus(g.relayDir())
	if err != nil {
		return err
	}
	over, err := g.counted(ctx)
	if err != nil {
		return err
	}
	kept, err := sizeOf(g.relayDir())
	if err != nil {
		return err
	}
	g.say("over the line to the site: %s down, %s up; the relay keeps %s, and gave its %s %s",
		phrase.Size(over["down"]), phrase.Size(over["up"]), phrase.Size(kept), phrase.Count(g.machines, "machine"), phrase.Size(over["site"]))
	p.want(s.Spooled == 0, "%d receipts are still in the spool", s.Spooled)
	// What is more is heads of packets, answers to polls, and what a kill cut off.
	p.want(over["down"] < kept+kept/10+1e6, "%s came to a site that keeps %s: packages came more than once", phrase.Size(over["down"]), phrase.Size(kept))
	p.want(over["site"] > int64(g.machines-1)*kept, "the machines got %s from the relay, less than each its packages", phrase.Size(over["site"]))
	return nil
}

// sizeOf sums up the files of a folder.
func sizeOf(dir string) (sum int64, err error) {
	return sum, filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
}

// uplinkOf is where the server listens, and with what.
func (g *ground) uplinkOf() []string {
	if g.relay != "" {
		return []string{"--uplink", behindRelay}
	}
	return []string{"--uplink", g.lab.Server(), "--uplink-cert", g.certFile(), "--uplink-key", g.keyFile()}
}
