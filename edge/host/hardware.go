package host

import (
	"io/fs"
	"slices"
	"strings"
)

// readHardware reads what the firmware says: SMBIOS on PCs and servers, the
// device tree elsewhere. Only root sees a serial number.
func readHardware(root fs.FS) (vendor, model, serial string) {
	const dmi, tree = "sys/class/dmi/id/", "sys/firmware/devicetree/base/"
	vendor, model, serial = meant(line(root, dmi+"sys_vendor")), meant(line(root, dmi+"product_name")), meant(line(root, dmi+"product_serial"))
	if model == "" {
		model = meant(line(root, tree+"model"))
	}
	if serial == "" {
		serial = meant(line(root, tree+"serial-number"))
	}
	return vendor, model, serial
}

// placeholders are what vendors leave in when they set nothing. Machines must
// not be taken for each other because of them.
var placeholders = []string{
	"none", "null", "n/a", "na", "unknown", "empty", "invalid", "oem", "o.e.m.", "0", "00000000", "0123456789", "123456789", "1234567890",
	"default string", "not specified", "not available", "not applicable", "not settable", "to be filled by o.e.m.", "to be filled by oem",
	"system serial number", "chassis serial number", "system manufacturer", "system product name", "system name", "sernum",
}

func meant(s string) string {
	s = strings.TrimSpace(strings.TrimRight(s, "\x00")) // the device tree ends its texts so
	if slices.Contains(placeholders, strings.ToLower(s)) || strings.Trim(s, ".x-X ") == "" {
		return ""
	}
	return s
}
