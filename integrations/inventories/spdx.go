package inventories

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/tagvalue"

	"github.com/patchcycle/patchcycle/patching"
)

// SPDX 2 bills of materials: https://spdx.github.io/spdx-spec/v2.3. Their packages count
// where an external reference names them by a purl.
var (
	spdxJSON = format{
		name: "SPDX JSON",
		mine: func(text []byte) bool { return billKind(text) == "SPDX" },
		read: func(text []byte) (Host, error) {
			doc, err := json.Read(bytes.NewReader(text))
			return readSPDX(text, doc, err)
		},
	}
	spdxTags = format{
		name: "SPDX tag-value",
		mine: func(text []byte) bool { return strings.HasPrefix(firstLine(text), "SPDXVersion:") },
		read: func(text []byte) (Host, error) {
			doc, err := tagvalue.Read(bytes.NewReader(text))
			return readSPDX(nil, doc, err)
		},
	}
)

func readSPDX(text []byte, doc *spdx.Document, err error) (Host, error) {
	if err != nil {
		return Host{}, jsonError(text, err)
	}
	b := bill{systems: map[patching.Platform]int{}}
	for _, p := range doc.Packages {
		if p == nil {
			continue
		}
		if p.PrimaryPackagePurpose == "OPERATING-SYSTEM" {
			b.named = platformOf(p.PackageName, p.PackageVersion)
			continue
		}
		for _, ref := range p.PackageExternalReferences {
			if ref == nil || ref.RefType != "purl" {
				continue
			}
			c := part{purl: ref.Locator}
			if m := builtFrom.FindStringSubmatch(p.PackageSourceInfo); m != nil {
				c.source, c.sourceVersion = m[1], strings.TrimPrefix(m[2], "0:")
			}
			if err := b.add(c); err != nil {
				return Host{}, fmt.Errorf("package %.100q: %w", p.PackageName, err)
			}
			break // a second purl names the same
		}
	}
	return b.done()
}

// builtFrom is how trivy names the source package: "built package from: glibc 2.36-9".
var builtFrom = regexp.MustCompile(`^built package from: (\S+) (\S+)$`)
