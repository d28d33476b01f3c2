package packages

import (
	"path"
	"regexp"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// fault is one package that dpkg could not get on with.
type fault struct {
	name  string
	stage string // --configure, --unpack
	words string // what dpkg says of it
}

// faultLine is the head of what dpkg says of a package. The words before the
// name depend on the language, the stage does not. The head may stand behind a
// prompt; in French a space that does not break stands before the colon.
var faultLine = regexp.MustCompile(`dpkg: .* (\S+) \((--[a-z-]+)\)[\s\x{a0}\x{202f}]*:$`)

// parseFaults reads what dpkg says of packages, a line in:
//
//	dpkg: error processing package tb-badpost (--configure):
//	 installed tb-badpost package post-installation script subprocess returned error exit status 1
//	dpkg: error processing archive /var/cache/apt/archives/tb-badpre_1.1_all.deb (--unpack):
//	 new tb-badpre package pre-installation script subprocess returned error exit status 1
//	dpkg: dependency problems prevent configuration of tb-late:
//	 tb-late depends on tb-badpost; however:
func parseFaults(text string) (faults []fault) {
	for all := strings.Split(text, "\n"); len(all) > 0; all = all[1:] {
		m := faultLine.FindStringSubmatch(all[0])
		if m == nil {
			continue
		}
		var words []string
		for len(all) > 1 && strings.HasPrefix(all[1], " ") {
			words, all = append(words, strings.TrimSpace(all[1])), all[1:]
		}
		faults = append(faults, fault{name: packageOf(m[1]), stage: m[2], words: strings.Join(words, " ")})
	}
	return faults
}

// scriptBegins is what dpkg prints before it runs a package's scripts, or comes
// to the next package.
var scriptBegins = regexp.MustCompile(`^(Setting up|Preparing to unpack|Unpacking|Removing|Purging configuration files for|Processing triggers for) (\S+)`)

// scriptOf returns what a package's scripts printed last, a few lines of it.
// What dpkg complains of need not stand where it happened: it is another stream.
func scriptOf(name string, said []string) (script []string) {
	inside := false
	for _, line := range said {
		m := scriptBegins.FindStringSubmatch(line)
		switch {
		case len(m) > 2 && packageOf(m[2]) == name:
			script, inside = nil, true
		case len(m) > 0 || strings.HasPrefix(line, "dpkg: ") || strings.HasPrefix(line, "Errors were encountered"):
			inside = false
		case inside && line != "":
			script = append(script, strings.TrimSpace(line))
		}
	}
	return script[max(0, len(script)-5):]
}

var archiveNumber = regexp.MustCompile(`^[0-9]+-`)

// packageOf takes the name from tb-x, libperl5.36:amd64, or the path of an
// archive, which apt may have numbered: /tmp/apt-dpkg-install-Xy/03-tb-x_1.1_all.deb.
func packageOf(said string) string {
	if strings.HasSuffix(said, ".deb") {
		said = archiveNumber.ReplaceAllString(path.Base(said), "")
		said, _, _ = strings.Cut(said, "_")
	}
	name, _, _ := strings.Cut(said, ":")
	return name
}

// blame names the package that failed: one that was asked for rather than
// others, and none that only waits for another. Who was half installed before
// the run is nobody's fault in it.
func (a account) blame(faults []fault, said []string) *Error {
	chosen, rank := faults[0], -1
	for _, f := range faults {
		r := 0
		if !strings.Contains(f.words, "dependency problems") {
			r += 2
			if a.askedFor(f.name) {
				r++
			}
		}
		if r > rank {
			chosen, rank = f, r
		}
	}
	if len(a.asked) > 0 && !a.askedFor(chosen.name) && a.wasBroken(chosen.name) {
		return &Error{
			Reason: patching.ReasonPreflight, Signature: chosen.name + ": half installed before",
			Detail: chosen.name + " was half installed before this order, which did not ask for it: " + chosen.words,
		}
	}
	e := chosen.judge()
	e.Detail = strings.Join(append(scriptOf(chosen.name, said), chosen.words), "; ")
	return e
}

var (
	scripts = []struct {
		says *regexp.Regexp
		name string
	}{
		{regexp.MustCompile(`pre-installation`), "preinst"},
		{regexp.MustCompile(`post-installation`), "postinst"},
		{regexp.MustCompile(`pre-removal`), "prerm"},
		{regexp.MustCompile(`post-removal`), "postrm"},
	}
	// The archive in the cache is not what the vendor packed.
	archiveDamaged = regexp.MustCompile(`dpkg-deb|format archive|unexpected end of file|corrupted filesystem tarfile|lzma error|decompress`)
	scriptFailed   = regexp.MustCompile(`script (subprocess )?returned error exit status|script (subprocess )?was killed by signal \((Segmentation fault|Aborted)`)
)

// judge says what is wrong with the package, as far as dpkg's words are known.
func (f fault) judge() *Error {
	is := func(reason patching.Reason, what string) *Error {
		return &Error{Reason: reason, Signature: f.name + ": " + what}
	}
	switch {
	case strings.Contains(f.words, "conffile prompt"):
		return is(patching.ReasonConffile, "settings changed")
	case strings.Contains(f.words, "trying to overwrite"):
		return is(patching.ReasonInstallFailed, "file of another package")
	case strings.Contains(f.words, "very bad inconsistent state"):
		return is(patching.ReasonPreflight, "needs reinstalling")
	case strings.Contains(f.words, "conflicting packages"):
		return is(patching.ReasonInstallFailed, "conflict")
	case strings.Contains(f.words, "dependency problems"):
		return is(patching.ReasonInstallFailed, "dependencies")
	case archiveDamaged.MatchString(f.words):
		return is(patching.ReasonDownload, "damaged archive")
	}
	for _, s := range scripts {
		if s.says.MatchString(f.words) && scriptFailed.MatchString(f.words) {
			return is(patching.ReasonInstallFailed, s.name)
		}
	}
	return is(patching.ReasonUnknown, "dpkg "+f.stage)
}
