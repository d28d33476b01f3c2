package advisories

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

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
		Name            word `yaml:"PackageIdentifier"`
		Version         word `yaml:"PackageVersion"`
		Publisher       word `yaml:"Publisher"` // of a singleton
		Type            word `yaml:"ManifestType"`
		ManifestVersion word `yaml:"ManifestVersion"`
		Installers      []struct {
			Architecture word `yaml:"Architecture"`
		} `yaml:"Installers"`
	}
	if err := decodeYAML(doc, &m); err != nil {
		return err
	}
	switch {
	case m.Type.text == "" || m.ManifestVersion.text == "":
		return errors.New("it has no ManifestType and ManifestVersion at its end: it was cut off")
	case !slices.Contains(wingetTypes, m.Type.text):
		return fmt.Errorf("line %d: ManifestType %.40q is not one that we know", m.Type.line, m.Type.text)
	case !wingetNameShape.MatchString(m.Name.text):
		return fmt.Errorf("line %d: PackageIdentifier %.100q is not one", m.Name.line, m.Name.text)
	case !wingetVersionShape.MatchString(m.Version.text):
		return fmt.Errorf("line %d: PackageVersion %.100q is not one", m.Version.line, m.Version.text)
	case m.Type.text != "singleton" && m.Type.text != "installer":
		return nil
	case len(m.Installers) == 0:
		return errors.New("it has no Installers")
	}
	var arches []string
	for _, i := range m.Installers {
		a := i.Architecture
		if !slices.Contains(wingetArches, a.text) {
			return fmt.Errorf("line %d: Architecture %.40q is not one", max(a.line, m.Name.line), a.text)
		}
		if slices.Contains(arches, a.text) {
			continue // as .exe and as .msi
		}
		arches = append(arches, a.text)
		into.Offers = append(into.Offers, patching.Offer{
			Feed: "winget", Suite: "winget", Origin: m.Publisher.text, Name: m.Name.text, Arch: a.text, Version: m.Version.text,
		})
	}
	return nil
}
