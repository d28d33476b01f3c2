//go:build linux

package nspawn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/lab/archive"
)

// Suite is the release that machines have. Its main suite holds the versions of
// the last point release, its security suite what came since: that is pending.
const Suite = "bookworm"

// MaxAge is for how long a base is used. Older ones are made anew, so that the
// lab's machines miss what is missing today.
const MaxAge = 7 * 24 * time.Hour

// include is what a machine has beside Debian's minimal set: a whole systemd,
// services that updates restart, and libraries that get updates often.
var include = []string{
	"systemd", "systemd-sysv", "dbus", "udev", "procps", "iproute2", "ca-certificates",
	"nginx-light", "rsyslog", "cron", "logrotate", "openssl", "rsync", "python3-minimal", "xz-utils", "tzdata",
}

// masked units would act by themselves, while a test looks, or wait for hardware
// that is not there.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"dpkg-db-backup.timer", "man-db.timer", "systemd-networkd.service", "systemd-resolved.service",
	"systemd-timesyncd.service", "getty@.service", "console-getty.service", "systemd-udevd.service",
}

// aptOptions: no translations, which are half of what an update downloads.
const aptOptions = "Acquire::Languages \"none\";\n"

// Base is a Debian machine that was never started, with its archive.
type Base struct {
	// Dir holds root/, which must not be written to, and archive/.
	Dir  string `json:"-"`
	Made Made   `json:"made"`
}

// Made says what a base is.
type Made struct {
	At       time.Time        `json:"at"`
	Upstream archive.Upstream `json:"upstream"`
	Seconds  float64          `json:"seconds"`
	// Pending is how many updates machines of this base have pending.
	Pending int `json:"pending"`
}

// Root is the base's file system.
func (b Base) Root() string { return filepath.Join(b.Dir, "root") }

// Archive is what the base was made from, frozen at that time.
func (b Base) Archive() *archive.Archive {
	return &archive.Archive{Dir: filepath.Join(b.Dir, "archive"), Upstream: b.Made.Upstream, Frozen: true}
}

// Cache is the folder of bases and labs: $PATCHCYCLE_LAB, or one below
// /var/cache.
func Cache() string {
	if dir := os.Getenv("PATCHCYCLE_LAB"); dir != "" {
		return dir
	}
	return "/var/cache/patchcycle-lab"
}

// recipe names a base by what it is made from: with another recipe, or another
// mirror, another base is made.
func recipe(up archive.Upstream) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Concat([]string{"2", Suite, up.Debian, up.Security, aptOptions}, include, masked), "\n")))
	return fmt.Sprintf("base-%x-", sum[:6])
}

// prepareBase returns a base that is not too old, and makes one if there is
// none: 70 seconds and 0.6 GB. Whoever comes at the same time waits. Use notes
// which one is used, before anybody could remove it.
func prepareBase(ctx context.Context, cache string, log io.Writer, use func(Base) error) (Base, error) {
	up, err := archive.Find(os.DirFS("/"))
	if err != nil {
		return Base{}, err
	}
	unlock, err := lock(ctx, filepath.Join(cache, "base.lock"))
	if err != nil {
		return Base{}, err
	}
	defer unlock()
	kept, err := bases(cache, recipe(up))
	if err != nil {
		return Base{}, err
	}
	if n := len(kept); n > 0 && time.Since(kept[n-1].Made.At) < MaxAge {
		return kept[n-1], use(kept[n-1])
	}
	fmt.Fprintln(log, "Making a Debian base: about a minute, and 0.6 GB in", cache)
	b, err := makeBase(ctx, cache, up, log)
	if err != nil {
		return Base{}, fmt.Errorf("make a Debian base: %w", err)
	}
	return b, errors.Join(use(b), removeUnused(kept))
}

// removeUnused removes bases that no lab stands on.
func removeUnused(old []Base) error {
	labs, err := Labs()
	if err != nil {
		return err
	}
	for _, b := range old {
		if slices.ContainsFunc(labs, func(s State) bool { return s.Base == b.Dir }) {
			continue
		}
		if err := removeTree(b.Dir); err != nil {
			return err
		}
	}
	return nil
}

// bases lists the whole bases of a recipe, the oldest first.
func bases(cache, prefix string) ([]Base, error) {
	dirs, err := filepath.Glob(filepath.Join(cache, prefix+"*"))
	if err != nil {
		return nil, err
	}
	var all []Base
	for _, dir := range dirs {
		b := Base{Dir: dir}
		text, err := os.ReadFile(filepath.Join(dir, "made.json"))
		if err == nil {
			err = json.Unmarshal(text, &b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no base (%w): remove it", dir, err)
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Base) int { return a.Made.At.Compare(b.Made.At) })
	return all, nil
}

func makeBase(ctx context.Context, cache string, up archive.Upstream, log io.Writer) (b Base, err error) {
	began := time.Now()
	// A folder of this name was left by a maker that was killed: nobody uses it.
	making := filepath.Join(cache, ".making")
	if err := removeTree(making); err != nil {
		return Base{}, err
	}
	if err := os.MkdirAll(filepath.Join(making, "archive"), 0o755); err != nil {
		return Base{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(making))
		}
	}()
	b = Base{Dir: making, Made: Made{Upstream: up}}
	// The mirror is asked through our archive, which keeps what passes: the
	// versions that are installed now, and those that are pending.
	a := &archive.Archive{Dir: filepath.Join(making, "archive"), Upstream: up}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Base{}, err
	}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	if err := fillBase(ctx, &b, "http://"+l.Addr().String(), log); err != nil {
		return Base{}, err
	}
	b.Made.At = time.Now().UTC().Truncate(time.Second)
	b.Made.Seconds = time.Since(began).Seconds()
	if err := writeJSON(filepath.Join(making, "made.json"), b); err != nil {
		return Base{}, err
	}
	b.Dir = filepath.Join(cache, recipe(up)+b.Made.At.Format("20060102T150405"))
	if err := os.Rename(making, b.Dir); err != nil {
		return Base{}, err
	}
	fmt.Fprintf(log, "Made in %.0f s: %d updates are pending.\n", b.Made.Seconds, b.Made.Pending)
	return b, nil
}

func fillBase(ctx context.Context, b *Base, url string, log io.Writer) error {
	root := b.Root()
	if err := run(ctx, log, "debootstrap", "--variant=minbase", "--include="+strings.Join(include, ","), Suite, root, url+"/debian"); err != nil {
		return err
	}
	for file, text := range map[string]string{
		"etc/apt/apt.conf.d/90lab": aptOptions,
		"etc/apt/sources.list":     "",
		debianSources:              sources(url),
		"etc/machine-id":           "",
		"etc/resolv.conf":          "",
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, unit := range masked {
		link := filepath.Join(root, "etc", "systemd", "system", unit)
		os.Remove(link)
		if err := os.Symlink("/dev/null", link); err != nil {
			return err
		}
	}
	// Each machine has its own id, and D-Bus takes systemd's.
	id := filepath.Join(root, "var", "lib", "dbus", "machine-id")
	os.Remove(id)
	if err := os.Symlink("/etc/machine-id", id); err != nil {
		return err
	}
	if err := chroot(ctx, log, root, "apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return err
	}
	pending, err := exec.CommandContext(ctx, "chroot", root, "apt-get", "-s", "-q", "dist-upgrade").Output()
	if err != nil {
		return fmt.Errorf("simulate the upgrade: %w", err)
	}
	if b.Made.Pending = len(installs.FindAll(pending, -1)); b.Made.Pending == 0 {
		return errors.New("the security archive has nothing pending for " + Suite + ": there is nothing to patch")
	}
	if err := chroot(ctx, log, root, "apt-get", "dist-upgrade", "-y", "-q", "--download-only"); err != nil {
		return err
	}
	// apt keeps each list under the name of its URL, which was for once.
	for _, dir := range []string{"var/lib/apt/lists", "var/cache/apt"} {
		if err := empty(filepath.Join(root, dir)); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(root, "var", "cache", "apt", "archives", "partial"), 0o755)
}

// installs finds the lines of a simulated upgrade:
//
//	Inst openssl [3.0.17-1~deb12u2] (3.0.18-1~deb12u3 Debian-Security:12/oldstable-security [amd64])
var installs = regexp.MustCompile(`(?m)^Inst \S+ `)

const debianSources = "etc/apt/sources.list.d/debian.sources"

// sources are apt's lists on a machine, below a URL. The archive is frozen, so
// its dates pass while the lab stays; signatures are checked like anywhere.
func sources(url string) string {
	return fmt.Sprintf(`Types: deb
URIs: %[1]s/debian
Suites: %[2]s %[2]s-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Check-Valid-Until: no

Types: deb
URIs: %[1]s/debian-security
Suites: %[2]s-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
Check-Valid-Until: no
`, url, Suite)
}

// empty removes what is in a folder, but not the folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(file string, v any) error {
	return durable.Replace(file, 0o644, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
}
