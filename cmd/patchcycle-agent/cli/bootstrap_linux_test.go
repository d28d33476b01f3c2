package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/edge/visit"
)

// Serves Q15: from a bare machine to a visit, with a real sshd.
func TestAMachineIsBootstrappedWithAnAdministratorsKeyAndThenVisited(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	g := newGround(t, s)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	program, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(at("agent"), fmt.Appendf(nil, `#!/bin/sh
[ "$1" != once ] || net="unshare -n"
exec env %s=visited %s=%s $net %s "$@" --home %s --rules %s
`, asAgent, visitedDir, s.dir, program, at("home"), at("rules")), 0o700))
	admin, err := visit.ReadKey(g.adminFile)
	require.NoError(t, err)
	keys, err := os.ReadFile(at("authorized_keys"))
	require.NoError(t, err)
	_, _, _, only, err := ssh.ParseAuthorizedKey(keys) //nolint:dogsled // what is left is the administrator's line
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(at("authorized_keys"), only[:len(only)-1], 0o600)) // without its end
	up, err := uplink.NewClient(uplink.ClientOptions{URL: url, Tries: 1})
	require.NoError(t, err)
	t.Cleanup(up.Close)
	b := visit.Bootstrap{
		Address: g.machine.Address, User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(admin)}, Relay: g.key.PublicKey(), Token: "s3cret",
		Uplink: uplink.Serve(up, uplink.ServeOptions{MaxPolls: 1, MaxRequests: 4}), Program: at("agent"), AuthorizedKeys: at("authorized_keys"),
	}
	shown := ssh.FingerprintSHA256(g.machine.Host)
	_, _, err = b.Do(t.Context())
	require.ErrorContains(t, err, "give it with --fingerprint "+shown)
	b.Fingerprint = "SHA256:other"
	_, _, err = b.Do(t.Context())
	require.ErrorContains(t, err, "somebody may be in between; nothing was sent")
	require.Empty(t, d.enrolled)

	b.Fingerprint = shown
	b.Program = at("none")
	_, _, err = b.Do(t.Context())
	require.ErrorContains(t, err, "the agent is not installed there")
	require.ErrorContains(t, err, "give its package with --package FILE.deb")
	require.Empty(t, d.enrolled)
	b.Program, b.Token = at("agent"), "guess"
	_, _, err = b.Do(t.Context())
	require.ErrorContains(t, err, "this token lets nobody in")
	b.Token = "s3cret"
	for range 2 { // and again, which changes nothing
		m, said, err := b.Do(t.Context())
		require.NoError(t, err)
		assert.Contains(t, said, "d-1")
		m.Name = "db1"
		file := at("machines.yaml")
		require.NoError(t, os.WriteFile(file, []byte("machines:\n"+m.Entry()), 0o600))
		list, err := visit.ReadMachines(file)
		require.NoError(t, err)
		assert.Equal(t, g.machine.Address, list[0].Address)
		assert.Equal(t, g.machine.Host.Marshal(), list[0].Host.Marshal())
	}
	require.Len(t, d.enrolled, 1)
	keys, err = os.ReadFile(at("authorized_keys"))
	require.NoError(t, err)
	line := fmt.Sprintf("restrict,command=%q %s patchcycle-relay\n", at("agent")+" once --stdio", string(ssh.MarshalAuthorizedKey(g.key.PublicKey())[:len(ssh.MarshalAuthorizedKey(g.key.PublicKey()))-1]))
	assert.Equal(t, string(only[:len(only)-1])+"\n"+line, string(keys))

	v, err := visit.New(visit.Options{Key: g.key, Handler: b.Uplink})
	require.NoError(t, err)
	require.NoError(t, v.Visit(t.Context(), g.machine))
	require.Equal(t, 1, d.facts)
	code, said := g.ssh(g.keyFile, "ssh", "root@127.0.0.1", "id")
	require.NotZero(t, code)
	require.NotContains(t, said, "uid=")

	b.Relay = admin.PublicKey()
	_, _, err = b.Do(t.Context())
	require.ErrorContains(t, err, "with other rights: remove that line")
}

// packed is the agent's package, whose scripts do more.
func packed(t *testing.T, arch, preinst string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control": "Package: patchcycle-agent\nVersion: 1\nArchitecture: " + arch + "\nMaintainer: Nobody <nobody@example.org>\nDescription: of the tests\n",
		"DEBIAN/preinst": "#!/bin/sh\n" + preinst + "\n", "usr/bin/agent": "#!/bin/sh\n",
	} {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o755))
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", "--build", dir, dir+".deb").CombinedOutput()
	require.NoError(t, err, "%s", out)
	made, err := os.ReadFile(dir + ".deb")
	require.NoError(t, err)
	return made
}

// Serves L6: by the real dpkg, which has a folder in the machine's place.
func TestABootstrapBringsTheAgentsPackageAndSaysWhyItCouldNotBeInstalled(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "no dpkg: run the tests on Debian")
		t.Skip("no dpkg here: run the tests on Debian")
	}
	s := newShell(t)
	g := newGround(t, s)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	stand := func(program, text string) {
		require.NoError(t, os.WriteFile(at("bin/"+program), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	require.NoError(t, os.MkdirAll(at("bin"), 0o755))
	require.NoError(t, os.MkdirAll(at("root/var/lib/dpkg/updates"), 0o755))
	require.NoError(t, os.WriteFile(at("root/var/lib/dpkg/status"), nil, 0o600))
	stand("dpkg", "exec /usr/bin/dpkg --root="+at("root")+` --force-script-chrootless "$@"`)
	admin, err := visit.ReadKey(g.adminFile)
	require.NoError(t, err)
	b := visit.Bootstrap{
		Address: g.machine.Address, User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(admin)}, Relay: g.key.PublicKey(),
		Fingerprint: ssh.FingerprintSHA256(g.machine.Host), Program: at("root/usr/bin/agent"),
	}
	do := func(packed []byte, words ...string) {
		t.Helper()
		b.Package = packed
		_, _, err := b.Do(t.Context())
		for _, w := range words {
			require.ErrorContains(t, err, w)
		}
	}
	good := packed(t, "all", `[ "$(umask)" = 0022 ]`)
	stand("cat", "head -c 100")
	do(good, "install the agent's package there: code 65: it arrived otherwise than it was sent; nothing was installed")
	require.NoError(t, os.Remove(at("bin/cat")))
	do(packed(t, "vax", ""), "code 1: dpkg: error processing archive", "package architecture (vax) does not match system")
	do(packed(t, "all", "echo 'no room in /opt' >&2; exit 1"), "no room in /opt", "new patchcycle-agent package pre-installation script subprocess returned error exit status 1")
	require.NoFileExists(t, b.Program)
	b.Program = at("root/opt/agent")
	do(good, "the package was installed there, and there is no "+b.Program+" all the same")
	require.FileExists(t, at("root/usr/bin/agent"))
	status, err := os.ReadFile(at("root/var/lib/dpkg/status"))
	require.NoError(t, err)
	require.Contains(t, string(status), "Status: install ok installed")
	stand("dpkg", "exit 2")
	do(good, "install the agent's package there: code 2")
	left, err := filepath.Glob("/tmp/tmp.*/patchcycle-agent.deb")
	require.NoError(t, err)
	require.Empty(t, left, strings.Join(left, " "))
}
