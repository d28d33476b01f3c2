package advisories

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/patching"
)

// winget are manifests of the Windows Package Manager, as in microsoft/winget-pkgs:
// https://learn.microsoft.com/windows/package-manager/package/manifest. A package has one
// of type singleton, or several, of which that of type installer says what can be had.
//
// The version is the manifest's. What Windows lists as installed may be another one, such
// as 26.02.00.0 of 26.02.
var winget = Feed{
	Name: "winget", Title: "winget manifests",
	// ManifestType is among the last lines, which may be beyond the head.
	Mine: func(h Head) bool { return wingetName.Match(h.text()) && wingetVersion.Match(h.text()) },
	Read: readWinget,
}

var (
	wingetName    = regexp.MustCompile(`(?m)^PackageIdentifier: *\S`)
	wingetVersion = regexp.MustCompile(`(?m)^PackageVersion: *\S`)
	// What names and versions may be says the schema of manifests.
	wingetNameShape    = regexp.MustCompile(`^[^.\\/:*?"<>|\x01-\x20]{1,32}(\.[^.\\/:*?"<>|\x01-\x20]{1,32}){1,7}$`)
	wingetVersionShape = regexp.MustCompile(`^[^\\/:*?"<>|\x01-\x1f]{1,128}$`)
	wingetArches       = []string{"x86", "x64", "arm", "arm64", "neutral"}
	wingetTypes        = []string{"singleton", "installer", "version", "defaultLocale", "locale"}
)

func readWinget(doc Document, into *Content) error {
	var m struct {
		Name            plainyaml.Word `yaml:"PackageIdentifier"`
		Version         plainyaml.Word `yaml:"PackageVersion"`
		Publisher       plainyaml.Word `yaml:"Publisher"` // of a singleton
		Type            plainyaml.Word `yaml:"ManifestType"`
		ManifestVersion plainyaml.Word `yaml:"ManifestVersion"`
		Installers      []struct {
			Architecture plainyaml.Word `yaml:"Architecture"`
		} `yaml:"Installers"`
	}
	if err := plainyaml.Decode(doc, &m); err != nil {
		return err
	}
	switch {
	case m.Type.Text == "" || m.ManifestVersion.Text == "":
		return errors.New("it has no ManifestType and ManifestVersion at its end: it was cut off")
	case !slices.Contains(wingetTypes, m.Type.Text):
		return fmt.Errorf("line %d: ManifestType %.40q is not one that we know", m.Type.Line, m.Type.Text)
	case !wingetNameShape.MatchString(m.Name.Text):
		return fmt.Errorf("line %d: PackageIdentifier %.100q is not one", m.Name.Line, m.Name.Text)
	case !wingetVersionShape.MatchString(m.Version.Text):
		return fmt.Errorf("line %d: PackageVersion %.100q is not one", m.Version.Line, m.Version.Text)
	case m.Type.Text != "singleton" && m.Type.Text != "installer":
		return nil
	case len(m.Installers) == 0:
		return errors.New("it has no Installers")
	}
	var arches []string
	for _, i := range m.Installers {
		a := i.Architecture
		if !slices.Contains(wingetArches, a.Text) {
			return fmt.Errorf("line %d: Architecture %.40q is not one", max(a.Line, m.Name.Line), a.Text)
		}
		if slices.Contains(arches, a.Text) {
			continue // as .exe and as .msi
		}
		arches = append(arches, a.Text)
		into.Offers = append(into.Offers, patching.Offer{
			Feed: "winget", Suite: "winget", Origin: m.Publisher.Text, Name: m.Name.Text, Arch: a.Text, Version: m.Version.Text,
		})
	}
	return nil
}
