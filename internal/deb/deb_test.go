package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/deb"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

// onDebian leaves a test out where Debian's own tools are missing.
func onDebian(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			require.NotEqual(t, "true", os.Getenv("CI"), "no %s: run the tests on Debian", p)
			t.Skipf("no %s here: run the tests on Debian", p)
		}
	}
}

func run(t *testing.T, dir, program string, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	require.NoError(t, err, "%s %v: %s", program, args, stderr.String())
	return out
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// built is a package that dpkg builds of files, by path; one that begins with "-> " is a
// link.
func built(t *testing.T, packing, control string, files map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	files["DEBIAN/control"] = control + "Maintainer: Nobody <nobody@example.org>\nDescription: of the tests\n"
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if to, link := strings.CutPrefix(text, "-> "); link {
			require.NoError(t, os.Symlink(to, file))
			continue
		}
		if strings.HasSuffix(name, ".gz") {
			text = string(zipped(t, text))
		}
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	out := filepath.Join(t.TempDir(), "one.deb")
	run(t, "", "dpkg-deb", "-Z"+packing, "--root-owner-group", "--build", dir, out)
	body, err := os.ReadFile(out)
	require.NoError(t, err)
	return body
}

func open(t testing.TB, body []byte) (*deb.Package, error) {
	t.Helper()
	return deb.Open(t.Context(), bytes.NewReader(body), int64(len(body)))
}

const control = "Package: tool\nVersion: 1:2.0-3+b1\nArchitecture: amd64\nSource: tools (1:2.0-3)\n"

// Serves G2.
func TestAPackageThatDpkgBuiltSaysWhatItIsAndWhatChanged(t *testing.T) {
	onDebian(t, "dpkg-deb")
	const ours, upstream = "tools (1:2.0-3) unstable; urgency=low\n", "2.0: much better\n"
	for name, files := range map[string]map[string]string{
		"Debian's beside upstream's": {"usr/share/doc/tool/changelog.Debian.gz": ours, "usr/share/doc/tool/changelog.gz": upstream},
		"a rebuild's beside it":      {"usr/share/doc/tool/changelog.Debian.amd64.gz": "tools (1:2.0-3+b1) sid; …\n", "usr/share/doc/tool/changelog.Debian.gz": ours},
		"a package of Debian's own":  {"usr/share/doc/tool/changelog.gz": ours, "usr/share/man/man1/tool.1": "tool"},
		"not packed":                 {"usr/share/doc/tool/changelog.Debian": ours},
		"another's beside it":        {"usr/share/doc/other/changelog.Debian.gz": upstream, "usr/share/doc/tool/changelog.Debian.gz": ours, "usr/bin/tool": "tool"},
	} {
		for _, packing := range []string{"xz", "gzip", "zstd", "none"} {
			p, err := open(t, built(t, packing, control, files))
			require.NoError(t, err, packing)
			require.Equal(t, []string{"tool", "amd64", "1:2.0-3+b1", "tools", "1:2.0-3"}, []string{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion})
			text, err := p.Changelog()
			require.NoError(t, err, "%s, %s", name, packing)
			require.Equal(t, ours, string(text), "%s, %s", name, packing)
		}
	}
	p, err := open(t, built(t, "xz", "Package: tool\nVersion: 2.0\nArchitecture: all\n", map[string]string{}))
	require.NoError(t, err)
	require.Equal(t, []string{"tool", "2.0"}, []string{p.Source, p.SourceVersion}, "a package that is its own source")
}

func TestALinkToAnotherPackagesDocumentsIsNotFollowed(t *testing.T) {
	onDebian(t, "dpkg-deb")
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("root's own"), 0o600))
	for name, files := range map[string]map[string]string{
		"the folder": {"usr/share/doc/tool": "-> other"},
		"the file":   {"usr/share/doc/tool/changelog.Debian.gz": "-> ../other/changelog.Debian.gz"},
		"outside":    {"usr/share/doc/tool/changelog.Debian.gz": "-> " + secret},
		"nothing":    {"usr/share/doc/tool/copyright": "ours"},
	} {
		p, err := open(t, built(t, "xz", control, files))
		require.NoError(t, err)
		_, err = p.Changelog()
		require.ErrorIs(t, err, deb.ErrNoChangelog, name)
	}
}

// Serves L3.
func TestRealPackagesOfDebianSayWhatDpkgReadsInThem(t *testing.T) {
	onDebian(t, "apt-get", "dpkg-deb", "tar")
	dir := t.TempDir()
	fetch := exec.CommandContext(t.Context(), "apt-get", "download", "-q", "libssl3", "dpkg", "linux-image-amd64")
	fetch.Dir = dir
	if out, err := fetch.CombinedOutput(); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "apt-get download: %s", out)
		t.Skipf("apt fetches no package here: %s", out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		p, err := open(t, body)
		require.NoError(t, err, file)
		fields := strings.Fields(string(run(t, dir, "dpkg-deb", "--show", "--showformat", "${Package} ${Architecture} ${Version} ${source:Package} ${source:Version}", file)))
		require.Equal(t, fields, []string{p.Name, p.Arch, p.Version, p.Source, p.SourceVersion})
		text, err := p.Changelog()
		if p.Name == "linux-image-amd64" {
			require.ErrorIs(t, err, deb.ErrNoChangelog, "its folder is a link to that of the kernel")
			continue
		}
		require.NoError(t, err, file)
		require.True(t, strings.HasPrefix(string(text), p.Source+" ("+p.SourceVersion+") "), "%.80q", text)
		unpacked := t.TempDir()
		run(t, dir, "dpkg-deb", "--extract", file, unpacked)
		all, err := filepath.Glob(filepath.Join(unpacked, "usr", "share", "doc", p.Name, "changelog*.gz"))
		require.NoError(t, err)
		packed, err := os.ReadFile(all[0]) // changelog.Debian.gz comes before changelog.gz
		require.NoError(t, err)
		plain, err := gzip.NewReader(bytes.NewReader(packed))
		require.NoError(t, err)
		want, err := io.ReadAll(plain)
		require.NoError(t, err)
		require.Equal(t, string(want), string(text))
	}
}

// part is a member of a package that no dpkg would build.
type part struct {
	name string
	body []byte
	size string // what its header says; empty: the truth
}

func archive(parts ...part) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, p := range parts {
		size := p.size
		if size == "" {
			size = fmt.Sprint(len(p.body))
		}
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10s`\n", p.name, 0, 0, 0, "100644", size)
		b.Write(p.body)
		if len(p.body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func tarOf(t testing.TB, files ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range files {
		text := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Linkname, h.Size = "", int64(len(text))
		}
		h.Mode = 0o644
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, text)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// file is one of a tar archive, with its content.
func file(name, text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: text}
}

var format = part{name: "debian-binary", body: []byte("2.0\n")}

func controlPart(t testing.TB) part {
	return part{name: "control.tar", body: tarOf(t, file("./control", control))}
}

// Serves G4, Q7.
func TestAHostilePackageIsRefusedWithItsReason(t *testing.T) {
	zeros := strings.Repeat("\x00", 16<<20)
	good, doc := controlPart(t), "./usr/share/doc/tool/changelog.Debian.gz"
	for name, c := range map[string]struct {
		body []byte
		says string
	}{
		"no archive":            {[]byte("MZ this is a program of another kind"), "it does not begin like an archive"},
		"empty":                 {nil, "it does not begin like an archive"},
		"another format":        {archive(part{name: "debian-binary", body: []byte("3.0\n")}, good), "want 2.0"},
		"no control":            {archive(format, part{name: "data.tar", body: tarOf(t)}), "stands where control.tar should"},
		"control is cut off":    {archive(format)[:60], "cut off"},
		"a size below zero":     {archive(format, part{name: "control.tar", size: "-5"}), "is none of ar"},
		"a size beyond the end": {archive(format, part{name: "control.tar", body: tarOf(t), size: "9999999"}), "unexpected EOF"},
		"control is a bomb":     {archive(format, part{name: "control.tar.gz", body: zipped(t, string(tarOf(t, file("a", zeros))))}), unpack.ErrBomb.Error()},
		"control is huge":       {archive(format, part{name: "control.tar", body: tarOf(t, file("control", strings.Repeat("x", 2<<20)))}), "more than 1048576 bytes"},
		"control is a link":     {archive(format, part{name: "control.tar", body: tarOf(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "control", Linkname: "/etc/passwd"})}), `package name ""`},
		"a name that is a path": {archive(format, part{name: "control.tar", body: tarOf(t, file("control", "Package: ../../etc\nVersion: 1\nArchitecture: all\n"))}), `package name "../../etc"`},
		"a name that is an option": {
			archive(format, part{name: "control.tar", body: tarOf(t, file("control", strings.Replace(control, "tools", "-oAPT", 1)))}),
			`package name "-oAPT"`,
		},
		"data is a bomb":        {archive(format, good, part{name: "data.tar.gz", body: zipped(t, string(tarOf(t, file("a", zeros))))}), unpack.ErrBomb.Error()},
		"a changelog is a bomb": {archive(format, good, part{name: "data.tar", body: tarOf(t, file(doc, string(zipped(t, zeros))))}), unpack.ErrBomb.Error()},
		"data is cut off":       {archive(format, good, part{name: "data.tar", body: tarOf(t, file(doc, strings.Repeat("x", 4096)))[:2048]}), "unexpected EOF"},
		"no data":               {archive(format, good), "data.tar: it was cut off"},
	} {
		p, err := open(t, c.body)
		if err == nil {
			_, err = p.Changelog()
		}
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestOnlyAFileInThePackagesOwnFolderIsItsChangelog(t *testing.T) {
	const base = "usr/share/doc/tool/changelog.Debian.gz"
	for name, h := range map[string]tar.Header{
		"above the root":  file("../"+base, "no"),
		"another's":       file("usr/share/doc/tool/../other/changelog.Debian.gz", "no"),
		"below":           file("usr/share/doc/tool/old/changelog.Debian.gz", "no"),
		"a device":        {Typeflag: tar.TypeChar, Name: base},
		"a pipe":          {Typeflag: tar.TypeFifo, Name: base},
		"a hard link":     {Typeflag: tar.TypeLink, Name: base, Linkname: "/etc/shadow"},
		"a folder of it":  {Typeflag: tar.TypeDir, Name: base},
		"a symbolic link": {Typeflag: tar.TypeSymlink, Name: base, Linkname: "/etc/shadow"},
	} {
		p, err := open(t, archive(format, part{name: "_gpgbuilder", body: []byte("odd")}, controlPart(t), part{name: "data.tar", body: tarOf(t, h)}))
		require.NoError(t, err)
		_, err = p.Changelog()
		require.ErrorIs(t, err, deb.ErrNoChangelog, name)
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	body := archive(format, controlPart(t), part{name: "data.tar", body: tarOf(t, file("a", strings.Repeat("x", 1<<20)))})
	ctx, cancel := context.WithCancel(t.Context())
	p, err := deb.Open(ctx, bytes.NewReader(body), int64(len(body)))
	require.NoError(t, err)
	cancel()
	_, err = p.Changelog()
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzPackage looks for packages that bring the reader down.
func FuzzPackage(f *testing.F) {
	data := tarOf(f, file("./usr/share/doc/tool/changelog.Debian.gz", string(zipped(f, "tool (1) unstable; urgency=low\n"))))
	f.Add(archive(format, controlPart(f), part{name: "data.tar", body: data}))
	f.Add(archive(format, part{name: "control.tar.gz", body: zipped(f, string(controlPart(f).body))}, part{name: "data.tar.gz", body: zipped(f, string(data))}))
	f.Fuzz(func(t *testing.T, body []byte) {
		late := time.AfterFunc(30*time.Second, func() { panic("a package of a few kilobytes takes longer than 30 seconds") })
		defer late.Stop()
		if p, err := open(t, body); err == nil {
			_, _ = p.Changelog()
		}
	})
}
