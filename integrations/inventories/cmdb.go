package inventories

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// CMDBOptions say how a list of assets is to be read.
type CMDBOptions struct {
	// Map says which field a column is, by its heading; an empty field leaves it out.
	Map map[string]string
	// Encoding is one of [Encodings]; empty: UTF-8 or UTF-16, found out.
	Encoding string
}

// CMDB is a list of assets, as a configuration management database exports it.
type CMDB struct {
	Columns []Column
	Rows    []reconcile.Row
	// Bad are cells and rows that cannot be used. Their rows are not among Rows.
	Bad []Bad
}

// fqdn is a hostname with its domain: where a list has both, it counts.
const fqdn = "fqdn"

// headings are what columns are called, by field. Case, spaces and signs do not matter.
var headings = map[string][]string{
	string(reconcile.Hostname):     {"host", "host name", "name", "computer", "computer name", "server", "server name", "ci name", "machine", "device name", "node"},
	fqdn:                           {"fully qualified domain name", "dns", "dns name", "full name"},
	string(reconcile.Serial):       {"serial number", "serial no", "sn", "service tag", "chassis serial"},
	string(reconcile.Cloud):        {"instance", "instance id", "cloud id", "cloud instance", "vm id", "object id"},
	string(reconcile.MACs):         {"macs", "mac address", "mac addresses", "hardware address", "ethernet address"},
	string(reconcile.Addresses):    {"addresses", "ip", "ips", "ip address", "ip addresses", "ipv4", "ipv6", "ipv4 address", "ipv6 address", "primary ip"},
	string(reconcile.Vendor):       {"manufacturer", "make"},
	string(reconcile.Model):        {"model id", "model name", "product"},
	string(reconcile.OS):           {"operating system", "os name", "platform"},
	string(reconcile.Site):         {"location", "site name", "data center", "datacenter", "data centre", "office"},
	string(reconcile.Owner):        {"owned by", "asset owner", "system owner", "responsible", "contact", "assigned to", "managed by", "support group"},
	string(reconcile.BusinessUnit): {"bu", "unit", "department", "division", "cost center", "cost centre", "company"},
	string(reconcile.Exposure):     {"network exposure", "reachable from", "zone exposure"},
	string(reconcile.Criticality):  {"business criticality", "busines criticality", "importance", "tier", "asset criticality"}, //nolint:misspell // ServiceNow's own column is called so
	string(reconcile.DataClass):    {"data classification", "classification", "data sensitivity", "confidentiality"},
	string(reconcile.Tags):         {"tag", "labels", "label", "keywords"},
	string(reconcile.Services):     {"service", "business service", "business services", "application", "applications", "supports"},
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// severalOf reports whether a machine can have several of a field.
func severalOf(field string) bool {
	return slices.Contains([]reconcile.Field{reconcile.MACs, reconcile.Addresses, reconcile.Tags, reconcile.Services}, reconcile.Field(field))
}

// ReadCMDB reads a list of assets, packed or not. An error is about the file; what is
// wrong with single rows is among its result.
func ReadCMDB(in io.Reader, o CMDBOptions) (CMDB, error) {
	t, err := readTable(in, o.Encoding)
	if err != nil {
		return CMDB{}, err
	}
	out := CMDB{Bad: t.bad}
	if out.Columns, err = columns(t.headings, o.Map, headings, severalOf); err != nil {
		return CMDB{}, err
	}
	if !slices.ContainsFunc(out.Columns, func(c Column) bool { return slices.Contains(identities, c.Field) }) {
		return CMDB{}, fmt.Errorf("line 1: no heading tells machines apart (%s): say which does, such as --map %q", strings.Join(t.headings, ", "), t.headings[0]+"=hostname")
	}
	if len(t.rows) > maxAssets {
		return CMDB{}, fmt.Errorf("line %d: more than %d machines are not read at once: part the file", t.rows[maxAssets].line, maxAssets)
	}
	for _, r := range t.rows {
		row, bad := readAsset(r, out.Columns)
		if len(bad) > 0 {
			out.Bad = append(out.Bad, bad...)
			continue
		}
		out.Rows = append(out.Rows, row)
	}
	slices.SortStableFunc(out.Bad, func(a, b Bad) int { return a.Line - b.Line })
	return out, nil
}

// maxAssets is what the API takes in one request.
const maxAssets = 100_000

// identities are the fields of which a row needs one.
var identities = []string{string(reconcile.Hostname), fqdn, string(reconcile.Serial), string(reconcile.Cloud), string(reconcile.MACs), string(reconcile.Addresses)}

func readAsset(r tableRow, cols []Column) (reconcile.Row, []Bad) {
	row := reconcile.Row{Line: r.line}
	var bad []Bad
	known := false
	for i, c := range cols {
		value := r.cells[i]
		if c.Field == "" || value == "" {
			continue
		}
		if err := setField(&row.Asset, c.Field, value); err != nil {
			bad = append(bad, Bad{Line: r.line, Column: i + 1, Heading: c.Heading, Value: value, Why: err.Error()})
			continue
		}
		known = known || slices.Contains(identities, c.Field)
	}
	if !known && len(bad) == 0 {
		bad = append(bad, Bad{Line: r.line, Why: "nothing tells which machine it is: want a " + strings.Join(identities, ", ")})
	}
	return row, bad
}

// maxCell bounds what one cell may say, as the API does.
const maxCell = 200

func setField(a *patching.Asset, field, value string) (err error) {
	if len(value) > maxCell && !severalOf(field) {
		return fmt.Errorf("longer than %d bytes", maxCell)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }) {
		return errors.New("it has control characters")
	}
	switch field {
	case fqdn:
		a.Hostname, err = hostName(value)
		return err
	case string(reconcile.Hostname):
		name, err := hostName(value)
		if !strings.Contains(a.Hostname, ".") { // the name with its domain stands before
			a.Hostname = name
		}
		return err
	}
	switch reconcile.Field(field) {
	case reconcile.Serial:
		a.Serial = value
	case reconcile.Cloud:
		a.Cloud = value
	case reconcile.Vendor:
		a.Vendor = value
	case reconcile.Model:
		a.Model = value
	case reconcile.OS:
		a.OS.Name = value
	case reconcile.Owner:
		a.Owner = value
	case reconcile.BusinessUnit:
		a.BusinessUnit = value
	case reconcile.DataClass:
		a.DataClass = value
	case reconcile.Tags:
		a.Tags, err = more(a.Tags, value, ",;|\n", asIs)
	case reconcile.Services:
		a.Services, err = more(a.Services, value, ",;|\n", asIs)
	case reconcile.MACs:
		a.MACs, err = more(a.MACs, value, ",;| \n\t", hardwareAddress)
	case reconcile.Addresses:
		a.Addresses, err = more(a.Addresses, value, ",;| \n\t", address)
	case reconcile.Site:
		a.Site, err = siteName(value)
	case reconcile.Exposure:
		a.Exposure, err = meaning(value, exposures)
	case reconcile.Criticality:
		a.Criticality, err = meaning(value, criticalities)
	default: // names are above
	}
	return err
}

// more appends the parts of a cell.
func more(all []string, value, separators string, check func(string) (string, error)) ([]string, error) {
	for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		v, err := check(part)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	if len(all) > 100 {
		return nil, errors.New("more than 100 of them")
	}
	return all, nil
}

func asIs(s string) (string, error) {
	if len(s) > maxCell {
		return "", fmt.Errorf("longer than %d bytes", maxCell)
	}
	return s, nil
}

func hostName(s string) (string, error) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 || strings.ContainsAny(s, " /\\,;:@\"'<>\n\r\t") {
		return "", errors.New("no hostname: want a name such as web-1 or web-1.example.com")
	}
	return s, nil
}

func hardwareAddress(s string) (string, error) {
	plain := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(s))
	b, err := hex.DecodeString(plain)
	if err != nil || len(b) != 6 {
		return "", fmt.Errorf("%.40q is no MAC address: want six bytes such as 52:54:00:12:34:56", s)
	}
	parts := make([]string, 6)
	for i := range parts {
		parts[i] = plain[2*i : 2*i+2]
	}
	return strings.Join(parts, ":"), nil
}

func address(s string) (string, error) {
	bare, _, _ := strings.Cut(s, "/")
	ip, err := netip.ParseAddr(bare)
	if err != nil {
		return "", fmt.Errorf("%.60q is no IP address", s)
	}
	return ip.Unmap().String(), nil
}

// siteName makes a site's name of a place's: Amsterdam DC1 is amsterdam-dc1.
func siteName(s string) (patching.SiteName, error) {
	name := strings.Join(strings.Fields(strings.ToLower(s)), "-")
	if !patching.ValidName(name) {
		return "", errors.New("cannot name a site: want 1 to 64 letters a to z, digits, dots and dashes")
	}
	return patching.SiteName(name), nil
}

// exposures are words that say nothing but that. What is not here is refused and not
// guessed.
var exposures = map[string]patching.Exposure{
	"internet": patching.Internet, "internet facing": patching.Internet, "public": patching.Internet, "external": patching.Internet,
	"internal": patching.Internal, "intranet": patching.Internal, "isolated": patching.Isolated, "air gapped": patching.Isolated, "unknown": patching.ExposureUnknown,
}

// criticalities have ServiceNow's four steps among them.
var criticalities = map[string]patching.Criticality{
	"low": patching.Low, "medium": patching.Medium, "high": patching.High, "critical": patching.MissionCritical, "mission critical": patching.MissionCritical,
	"1 most critical": patching.MissionCritical, "2 somewhat critical": patching.High, "3 less critical": patching.Medium, "4 not critical": patching.Low,
	"unknown": patching.CriticalityUnknown,
}

func meaning[T ~string](value string, words map[string]T) (T, error) {
	plain := strings.Join(strings.Fields(strings.NewReplacer("-", " ", "_", " ").Replace(strings.ToLower(value))), " ")
	v, ok := words[plain]
	if !ok {
		return "", fmt.Errorf("it is not known what that means: want one of %s", strings.Join(sortedKeys(words), ", "))
	}
	return v, nil
}
