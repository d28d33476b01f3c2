package inventories

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/patchcycle/patchcycle/patching"
)

// CycloneDX bills of materials: https://cyclonedx.org/specification/overview. Of their
// components those count that a system's package manager installed.
var (
	cycloneJSON = format{
		name: "CycloneDX JSON",
		mine: func(text []byte) bool { return billKind(text) == "CycloneDX" },
		read: func(text []byte) (Host, error) { return readCyclone(text, cdx.BOMFileFormatJSON) },
	}
	cycloneXML = format{
		name: "CycloneDX XML",
		mine: func(text []byte) bool {
			head := text[:min(len(text), 4096)]
			return strings.HasPrefix(firstLine(text), "<") && bytes.Contains(head, []byte("http://cyclonedx.org/schema/bom/"))
		},
		read: func(text []byte) (Host, error) { return readCyclone(text, cdx.BOMFileFormatXML) },
	}
)

// billKind tells which kind of bill a JSON document says it is; empty: none.
func billKind(text []byte) string {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return ""
	}
	var head struct {
		BOMFormat   string `json:"bomFormat"`
		SPDXVersion string `json:"spdxVersion"`
	}
	if err := json.Unmarshal(text, &head); err != nil { // cut off: its reader says where
		switch {
		case bytes.Contains(text, []byte(`"bomFormat"`)):
			return "CycloneDX"
		case bytes.Contains(text, []byte(`"spdxVersion"`)):
			return "SPDX"
		}
		return ""
	}
	if head.SPDXVersion != "" {
		return "SPDX"
	}
	return head.BOMFormat
}

func readCyclone(text []byte, as cdx.BOMFileFormat) (Host, error) {
	var doc cdx.BOM
	if as == cdx.BOMFileFormatJSON { // the library stops at the end of the first value
		var all json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil {
			return Host{}, jsonError(text, err)
		}
	}
	if err := cdx.NewBOMDecoder(bytes.NewReader(text), as).Decode(&doc); err != nil {
		return Host{}, jsonError(text, err)
	}
	b := bill{systems: map[patching.Platform]int{}}
	var all []cdx.Component
	if doc.Metadata != nil && doc.Metadata.Component != nil {
		all = append(all, *doc.Metadata.Component)
	}
	if doc.Components != nil {
		all = append(all, *doc.Components...)
	}
	for n := 0; n < len(all); n++ {
		c := all[n]
		if c.Components != nil {
			all = append(all, *c.Components...)
		}
		if c.Type == cdx.ComponentTypeOS {
			b.named = platformOf(c.Name, c.Version)
			continue
		}
		if err := b.add(cyclonePart(c)); err != nil {
			return Host{}, fmt.Errorf("component %.100q: %w", c.Name, err)
		}
	}
	return b.done()
}

// cyclonePart reads what trivy and syft tell beside the purl.
func cyclonePart(c cdx.Component) part {
	p := part{purl: c.PackageURL}
	if c.Properties == nil {
		return p
	}
	said := map[string]string{}
	for _, one := range *c.Properties {
		said[one.Name] = one.Value
	}
	const trivy, syft = "aquasecurity:trivy:", "syft:metadata:"
	p.module = patching.ModuleStream(cmp.Or(said[trivy+"Modularitylabel"], said[syft+"modularityLabel"]))
	if p.source = said[trivy+"SrcName"]; p.source != "" && said[trivy+"SrcVersion"] != "" {
		v := said[trivy+"SrcVersion"]
		if r := said[trivy+"SrcRelease"]; r != "" {
			v += "-" + r
		}
		p.sourceVersion = withEpoch(v, said[trivy+"SrcEpoch"])
	}
	return p
}
