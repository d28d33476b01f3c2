//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/nspawn/labtest"
	"github.com/patchcycle/patchcycle/trust"
)

// apart is a real machine with the agent's package, enrolled at a server that has
// nothing to say.
type apart struct {
	t             *testing.T
	ctx           context.Context //nolint:containedctx // a test's own
	host          *nspawn.Host
	hand, courier string // their first processes
	uid           string // the courier's
	heard         chan uplink.Facts
}

// Serves Q13, Q15: what each part of the agent can reach, seen from inside.
func TestOnARealMachineEachPartOfTheAgentReachesWhatItIsMeantToAndNoMore(t *testing.T) {
	labtest.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	a := newApart(ctx, t)
	const home = "/var/lib/patchcycle-agent/"
	connect := []string{"timeout", "5", "bash", "-c", "exec 3<>/dev/tcp/" + nspawn.Gateway + "/8080"}
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"the hand has no way to the network", func() {
			a.can(connect...)
			a.cannot(a.inside(a.hand, "--net", connect...)...)
			require.Equal(t, "1", a.can(a.inside(a.hand, "--net", "grep", "-c", ":", "/proc/self/net/dev")...), "its loopback alone")
			a.can(a.inside(a.courier, "--net", connect...)...)
		}},
		{"the hand has no view of the file system of its own, which apt would take for a chroot", func() {
			require.Equal(t, a.can("readlink", "/proc/1/ns/mnt"), a.can("readlink", "/proc/"+a.hand+"/ns/mnt"))
		}},
		{"the hand says where its machine is, though it sees no network", func() {
			require.Contains(t, (<-a.heard).Addresses, a.host.Address)
		}},
		{"the courier's user can read neither key nor journal", func() {
			for _, file := range []string{"device.key", "journal", "identity.json"} {
				a.can("test", "-s", home+file)
				a.cannot(a.as("cat", home+file)...)
				a.cannot("cat", "/proc/"+a.courier+"/root"+home+file) // not even as root, as it sees the machine
			}
		}},
		{"the courier's user can write nothing that root executes or reads", func() {
			a.cannotWrite(home, "/etc/patchcycle/", "/etc/apt/", "/var/lib/dpkg/", "/var/cache/apt/archives/", "/var/cache/patchcycle-agent/", "/usr/bin/", "/lib/systemd/system/", "/etc/systemd/system/", "/run/systemd/system/")
			require.Empty(t, a.can("find", "/", "-xdev", "-user", a.uid), "it owns nothing")
		}},
		{"the courier's user can neither open nor replace the sockets", func() {
			a.cannotWrite("/run/patchcycle-courier/")
			a.cannot(a.as("touch", "/run/x")...)
			for _, name := range []string{"letters", "parcels"} {
				socket := "/run/patchcycle-courier/" + name
				require.Equal(t, "root:root 600", a.can("stat", "--format=%U:%G %a", socket))
				a.cannot(a.as("rm", "-f", socket)...)
				a.cannot(a.as("mv", socket, socket+".old")...)
				a.cannot(a.as("curl", "--silent", "--max-time", "5", "--unix-socket", socket, "http://x/courier/v1/status")...)
			}
		}},
		{"status shows both parts", func() {
			require.Contains(t, a.can("patchcycle-agent", "status"), "The courier last heard from https://"+nspawn.Gateway+":8080")
		}},
		{"the sandboxes are as tight as the page says", func() {
			page, err := os.ReadFile("../../docs/install.md")
			require.NoError(t, err)
			for _, unit := range []string{handUnit, courierUnit} {
				rating := regexp.MustCompile(`exposure level for \S+: (\S+)`).FindStringSubmatch(a.can("systemd-analyze", "security", "--no-pager", unit))
				require.NotNil(t, rating)
				require.Regexp(t, "(?m)^\\| `"+strings.TrimSuffix(unit, ".service")+"` \\| "+regexp.QuoteMeta(rating[1])+`\b`, string(page))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			c.do()
		})
	}
}

// can runs a program that must succeed, and returns what it said.
func (a *apart) can(args ...string) string {
	a.t.Helper()
	o, err := a.host.Exec(a.ctx, args...)
	require.NoError(a.t, err)
	require.Zero(a.t, o.Code, "%v: %s", args, o.Stdout+o.Stderr)
	return strings.TrimSpace(o.Stdout)
}

// cannot runs a program that must fail, for another reason than that it is not there.
func (a *apart) cannot(args ...string) {
	a.t.Helper()
	o, err := a.host.Exec(a.ctx, args...)
	require.NoError(a.t, err)
	require.NotContains(a.t, []int{0, 126, 127}, o.Code, "%v: %s", args, o.Stdout+o.Stderr)
}

// inside runs a program in a namespace of a process, as root.
func (a *apart) inside(pid, namespace string, args ...string) []string {
	return append([]string{"nsenter", "--target=" + pid, namespace, "--"}, args...)
}

// as runs a program as the courier's user, outside of its sandbox.
func (a *apart) as(args ...string) []string {
	return append([]string{"setpriv", "--reuid=" + a.uid, "--regid=" + a.uid, "--clear-groups", "--no-new-privs", "--bounding-set=-all"}, args...)
}

func (a *apart) cannotWrite(folders ...string) {
	a.t.Helper()
	for _, f := range folders {
		a.can("test", "-d", f)
		a.cannot(a.as("touch", f+"x")...)
		require.Empty(a.t, a.can("sh", "-c", strings.Join(a.as("find", f, "-xdev", "-writable", "!", "-type", "l", "!", "-type", "s"), " ")+" 2>/dev/null; true"), f)
	}
}

func newApart(ctx context.Context, t *testing.T) *apart {
	t.Helper()
	o := options{program: "not needed"}
	dir := t.TempDir()
	require.NoError(t, o.build(ctx, dir, t.Output()))
	lab := labtest.Up(t, nspawn.Options{Name: "parts"})
	deb, err := os.ReadFile(o.agent)
	require.NoError(t, err)
	require.NoError(t, lab.Install("root/patchcycle-agent.deb", deb, 0o644))
	require.NoError(t, lab.Apt(ctx, "install", "-q", "-y", "/root/patchcycle-agent.deb", "curl"))
	a := &apart{t: t, ctx: ctx, heard: make(chan uplink.Facts, 100)}
	a.host, err = lab.Create(ctx, nspawn.HostOptions{})
	require.NoError(t, err)
	require.NoError(t, nspawn.Boot(ctx, a.host))
	require.NoError(t, lab.CloseDoor())
	ca := a.quiet(lab)
	require.NoError(t, a.host.WriteFile("root/ca.pem", ca, 0o644))
	require.NoError(t, a.host.WriteFile("root/token", []byte("s3cret\n"), 0o600))
	a.can("sh", "-c", "echo 'PATCHCYCLE_AGENT_OPTIONS=--ca /etc/ssl/lab.pem --fresh 0' > /etc/default/patchcycle-agent; cp /root/ca.pem /etc/ssl/lab.pem")
	a.can("patchcycle-agent", "enrol", "--server", "https://"+lab.Server(), "--token-file", "/root/token", "--ca", "/root/ca.pem")
	a.can("systemctl", "start", "patchcycle-agent")
	show := func(unit string) string { return a.can("systemctl", "show", "--property=MainPID", "--value", unit) }
	require.Eventually(t, func() bool {
		a.hand, a.courier = show(handUnit), show(courierUnit)
		return a.hand != "0" && a.courier != "0"
	}, time.Minute, 200*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(a.can("patchcycle-agent", "status"), "last heard") }, time.Minute, 200*time.Millisecond)
	a.uid = a.can("stat", "--format=%u", "/proc/"+a.courier)
	require.NotEqual(t, "0", a.uid)
	return a
}

// quiet is a server in the lab's network that takes everything in and orders nothing; it
// returns its certificate.
func (a *apart) quiet(lab *nspawn.Lab) []byte {
	t := a.t
	t.Helper()
	keys, err := trust.LoadOrCreateKeys(t.TempDir())
	require.NoError(t, err)
	root := trust.NewRoot("acme", keys)
	mux := http.NewServeMux()
	mux.HandleFunc(uplink.EnrolPath, func(w http.ResponseWriter, r *http.Request) {
		uplink.WriteJSON(w, r, uplink.EnrolResponse{Device: "d-1", State: "accepted", Root: root.Seal(keys.Root)})
	})
	mux.HandleFunc(uplink.MessagesPath, func(w http.ResponseWriter, r *http.Request) {
		var b uplink.Batch
		if err := uplink.ReadRequest(w, r, &b); err != nil {
			uplink.WriteError(w, err)
			return
		}
		var out uplink.Acks
		for _, m := range b.Messages {
			if i, err := uplink.Decode[uplink.Inventory](m.Body); err == nil && m.Kind == uplink.KindInventory {
				a.heard <- i.Facts
			}
			ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: "taken"}
			ack.Sign("acme", &m, keys.Lease)
			out.Acks = append(out.Acks, ack)
		}
		uplink.WriteJSON(w, r, out)
	})
	mux.HandleFunc(uplink.PollPath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
		uplink.WriteJSON(w, r, uplink.PollResponse{At: time.Now()})
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(nspawn.Gateway)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	require.NoError(t, err)
	line, err := lab.Network.Listen(lab.Server())
	require.NoError(t, err)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		_ = s.Serve(tls.NewListener(line, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}))
	}()
	t.Cleanup(func() { _ = s.Close() })
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
}
