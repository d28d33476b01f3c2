package packages

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// tree is a machine's packages in a folder of a test's own: the real apt and
// dpkg act on it, with an archive of small packages. Scripts run outside of it.
type tree struct {
	t         *testing.T
	root      string
	arch      string
	published map[string]string // stanzas by file
	apt       *APT
	// acts are the programs that were started to change the tree.
	acts []string
}

// deb is a package to be built. Scripts are by name: postinst, preinst.
type deb struct {
	name, version string
	fields        string // further lines of its control file
	scripts       map[string]string
	files         map[string]string
	conffiles     string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	for _, program := range []string{"apt-get", "dpkg", "dpkg-deb"} {
		if _, err := command.Find(program); err != nil || os.Getuid() != 0 {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not here or we are not root, but CI proves this commit: run the tests as root on Debian", program)
			}
			t.Skip("apt and dpkg act on a tree only for root on Debian: sudo make test-fast PKG=./integrations/packages/")
		}
	}
	w := &tree{t: t, root: t.TempDir(), published: map[string]string{}}
	for _, folder := range []string{
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
		"var/log/apt", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "archive", "boot",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.root, folder), 0o755))
	}
	arch, err := exec.CommandContext(t.Context(), "dpkg", "--print-architecture").Output()
	require.NoError(t, err)
	w.arch = strings.TrimSpace(string(arch))
	w.write("var/lib/dpkg/status", "")
	w.write("etc/apt/sources.list", "deb [trusted=yes] copy:"+w.root+"/archive ./\n")
	// Hooks of the machine that the test runs on are not the tree's.
	w.write("apt.conf", `#clear DPkg::Pre-Invoke; #clear DPkg::Post-Invoke; #clear DPkg::Pre-Install-Pkgs; #clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke; #clear APT::Update::Post-Invoke-Success; #clear DPkg::Post-Invoke-Success;
Dir "`+w.root+`"; Dir::Bin::dpkg "/usr/bin/dpkg"; Dir::Bin::methods "/usr/lib/apt/methods"; Dir::State::status "`+w.root+`/var/lib/dpkg/status";
APT::Sandbox::User "root"; Binary::apt-get::APT::Keep-Downloaded-Packages "true";
Dpkg::Options { "--root=`+w.root+`"; "--force-script-chrootless"; "--force-unsafe-io"; "--log=/dev/null"; };
`)
	w.apt = NewAPT(Options{LockWait: time.Second, Act: func(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
		w.acts = append(w.acts, program+" "+strings.Join(args, " "))
		return w.run(ctx, limit, program, args...)
	}})
	w.apt.run, w.apt.load, w.apt.root = w.run, w.run, os.DirFS(w.root)
	return w
}

func (w *tree) run(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	switch program {
	case "dpkg":
		args = append([]string{"--root=" + w.root, "--force-script-chrootless", "--force-unsafe-io", "--log=/dev/null"}, args...)
	case "dpkg-query":
		args = append([]string{"--root=" + w.root}, args...)
	default:
		args = append([]string{"-c", filepath.Join(w.root, "apt.conf")}, args...)
	}
	return command.Run(ctx, limit, program, args...)
}

func (w *tree) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.root, name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o755))
}

func (w *tree) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.root, name))
	require.NoError(w.t, err)
	return string(text)
}

// publish builds packages and offers them.
func (w *tree) publish(debs ...deb) {
	w.t.Helper()
	for _, d := range debs {
		dir := w.t.TempDir()
		put := func(name, text string, mode os.FileMode) {
			path := filepath.Join(dir, name)
			require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(w.t, os.WriteFile(path, []byte(text), mode))
		}
		control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.invalid>\nInstalled-Size: 8\n%sDescription: a test's\n",
			d.name, d.version, w.arch, d.fields)
		put("DEBIAN/control", control, 0o644)
		for name, script := range d.scripts {
			put("DEBIAN/"+name, "#!/bin/sh\n"+script, 0o755)
		}
		if d.conffiles != "" {
			put("DEBIAN/conffiles", d.conffiles, 0o644)
		}
		put("usr/share/"+d.name+"/version", d.version+"\n", 0o644)
		for name, text := range d.files {
			put(name, text, 0o644)
		}
		file := fmt.Sprintf("%s_%s_%s.deb", d.name, d.version, w.arch)
		path := filepath.Join(w.root, "archive", file)
		out, err := exec.CommandContext(w.t.Context(), "dpkg-deb", "--root-owner-group", "-Znone", "--build", dir, path).CombinedOutput()
		require.NoError(w.t, err, "%s", out)
		content, err := os.ReadFile(path)
		require.NoError(w.t, err)
		w.published[file] = fmt.Sprintf("%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", control, file, len(content), sha256.Sum256(content))
	}
	w.offer()
}

// withdraw takes a package off the archive, as archives do when a newer version
// comes.
func (w *tree) withdraw(name, version string) {
	w.t.Helper()
	delete(w.published, fmt.Sprintf("%s_%s_%s.deb", name, version, w.arch))
	w.offer()
}

func (w *tree) offer() {
	w.t.Helper()
	var index strings.Builder
	for _, file := range slices.Sorted(maps.Keys(w.published)) {
		index.WriteString(w.published[file])
	}
	w.write("archive/Packages", index.String())
	require.NoError(w.t, w.apt.Update(w.t.Context()))
}

func (w *tree) patch(action patching.Action, name, from, to string) patching.Patch {
	return patching.Patch{Action: action, Name: name, Arch: w.arch, From: from, To: to}
}

func (w *tree) upgrade(name, from, to string) patching.Patch {
	return w.patch(patching.Upgrade, name, from, to)
}

func (w *tree) install(names ...string) {
	w.t.Helper()
	var patches []patching.Patch
	for _, n := range names {
		name, version, _ := strings.Cut(n, "=")
		patches = append(patches, w.patch(patching.Install, name, "", version))
	}
	require.NoError(w.t, w.apt.Install(w.t.Context(), patches))
}

// state says how packages stand: "1.1", "1.1 broken", "1.1 damaged", or "".
func (w *tree) state(name string) string {
	w.t.Helper()
	all, err := w.apt.Installed(w.t.Context())
	require.NoError(w.t, err)
	has, ok := Find(all, name, w.arch)
	switch {
	case !ok:
		return ""
	case has.Damaged:
		return has.Version + " damaged"
	case has.Broken:
		return has.Version + " broken"
	}
	return has.Version
}

// known requires an error whose cause was told.
func known(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}
