package inventories

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// ours is the JSON of "patchcycle assess", see docs/assess.md.
var ours = format{
	name: "our JSON",
	mine: func(text []byte) bool {
		return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) && !oneObjectALine(text)
	},
	read: readOurs,
}

// Document is our own form of an inventory.
type Document struct {
	Hostname string `json:"hostname,omitempty"`
	Asset    struct {
		Exposure    string `json:"exposure,omitempty"`
		Criticality string `json:"criticality,omitempty"`
		DataClass   string `json:"data_class,omitempty"`
	} `json:"asset"`
	OS struct {
		ID      string `json:"id"`
		Version string `json:"version"`
		// Name is the product's, of Windows: a server and a client may share a build.
		Name string `json:"name,omitempty"`
	} `json:"os"`
	Arch     string            `json:"arch,omitempty"`
	Kernel   string            `json:"kernel,omitempty"`
	Packages []DocumentPackage `json:"packages"`
	KBs      []string          `json:"kbs,omitempty"`
}

// DocumentPackage is a package in it.
type DocumentPackage struct {
	Name          string `json:"name"`
	Version       string `json:"version"` // epoch:version-release
	Arch          string `json:"arch,omitempty"`
	Source        string `json:"source,omitempty"`
	SourceVersion string `json:"source_version,omitempty"`
	Module        string `json:"module,omitempty"` // name:stream
}

var kbShape = regexp.MustCompile(`^(?:KB)?([0-9]{5,9})$`)

func readOurs(text []byte) (Host, error) {
	var d Document
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return Host{}, jsonError(text, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Host{}, errors.New("something follows the document")
	}
	h := Host{
		Hostname: d.Hostname, OS: patching.Platform{ID: strings.ToLower(d.OS.ID), Release: d.OS.Version}, Arch: d.Arch, Kernel: d.Kernel,
		Exposure: patching.Exposure(d.Asset.Exposure), Criticality: patching.Criticality(d.Asset.Criticality), DataClass: d.Asset.DataClass,
	}
	if h.OS.ID == "windows" {
		h.Build, h.OS.Release = d.OS.Version, productOf(d.OS.Version, d.OS.Name, d.Arch)
	}
	if h.Exposure == "" {
		h.Exposure = patching.ExposureUnknown
	}
	if h.Criticality == "" {
		h.Criticality = patching.CriticalityUnknown
	}
	if all := []patching.Exposure{patching.ExposureUnknown, patching.Internet, patching.Internal, patching.Isolated}; !slices.Contains(all, h.Exposure) {
		return Host{}, fmt.Errorf("asset.exposure %q: want one of %v", h.Exposure, all)
	}
	if all := []patching.Criticality{patching.CriticalityUnknown, patching.Low, patching.Medium, patching.High, patching.MissionCritical}; !slices.Contains(all, h.Criticality) {
		return Host{}, fmt.Errorf("asset.criticality %q: want one of %v", h.Criticality, all)
	}
	for n, p := range d.Packages {
		err := h.add(patching.Package{Name: p.Name, Arch: p.Arch, Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion, Module: p.Module})
		if err != nil {
			return Host{}, fmt.Errorf("packages, number %d: %w", n+1, err)
		}
	}
	for n, kb := range d.KBs {
		m := kbShape.FindStringSubmatch(kb)
		if m == nil {
			return Host{}, fmt.Errorf("kbs, number %d: %.40q is none: want KB and digits", n+1, kb)
		}
		h.KBs = append(h.KBs, "KB"+m[1])
	}
	return h, nil
}

// jsonError says on which line it is.
func jsonError(text []byte, err error) error {
	at := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	}
	if at < 0 {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:min(at, int64(len(text)))], []byte("\n")), err)
}

// jsonLines is one object for each package and line, as Google's osconfig and some
// queries of rpm and dpkg write it.
var jsonLines = format{
	name: "JSON, a package a line",
	mine: oneObjectALine,
	read: func(text []byte) (Host, error) {
		var h Host
		err := eachLine(text, func(line string) error {
			var p struct {
				Package, Architecture, Version, Status string
				Source                                 string `json:"source_name"`
				SourceVersion                          string `json:"source_version"`
			}
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				return err
			}
			if p.Status != "" && p.Status != "installed" {
				return nil
			}
			source := p.Source
			if v, ok := strings.CutSuffix(source, ".src.rpm"); ok {
				source = withoutRelease(v)
			}
			return h.add(patching.Package{Name: p.Package, Arch: p.Architecture, Version: p.Version, Source: source, SourceVersion: p.SourceVersion})
		})
		return h, err
	},
}

func oneObjectALine(text []byte) bool {
	line := firstLine(text)
	return strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}") && strings.Contains(line, `"package"`)
}

// withoutRelease takes version and release off a source package's file name.
func withoutRelease(name string) string {
	for range 2 {
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
	}
	return name
}
