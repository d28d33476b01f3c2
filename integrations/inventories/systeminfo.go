package inventories

import (
	"errors"
	"regexp"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// systemInfo is what Windows' systeminfo prints. It names only the first three numbers
// of the build, and its own words are in the language of the machine: what is read is
// what does not change with it.
var systemInfo = format{
	name: "Windows systeminfo",
	mine: func(text []byte) bool { return windowsVersion.Match(text) && kbLine.Match(text) },
	read: readSystemInfo,
}

var (
	// "OS Version: 10.0.20348 N/A Build 20348"
	windowsVersion = regexp.MustCompile(`(?m)^[^:\r\n]{2,40}[:：]\s+((?:6|10)\.[0-9]\.[0-9]{4,5}) [^\r\n]*[0-9]{4,5}\s*$`)
	// "[01]: KB5004330"
	kbLine      = regexp.MustCompile(`(?m)^\s*\[[0-9]+\][:：]\s+(KB[0-9]{5,9})\s*$`)
	windowsName = regexp.MustCompile(`(?m)Microsoft(?:\(R\)|®)? (Windows[^\r\n]*?)\s*$`)
	systemType  = regexp.MustCompile(`(?m)\b(x64|X86|ARM64)-based`)
)

func readSystemInfo(text []byte) (Host, error) {
	m := windowsVersion.FindSubmatch(text)
	if m == nil {
		return Host{}, errors.New("it names no version of Windows")
	}
	h := Host{Build: string(m[1]), Exposure: patching.ExposureUnknown, Criticality: patching.CriticalityUnknown}
	name := ""
	if m := windowsName.FindSubmatch(text); m != nil {
		name = string(m[1])
	}
	if m := systemType.FindSubmatch(text); m != nil {
		h.Arch = strings.ToLower(string(m[1]))
	}
	h.OS = patching.Platform{ID: "windows", Release: productOf(h.Build, name, h.Arch)}
	for _, m := range kbLine.FindAllSubmatch(text, -1) {
		h.KBs = append(h.KBs, string(m[1]))
	}
	return h, nil
}

// builds are Windows' products by the third number of their build, for servers and for
// others: https://learn.microsoft.com/windows/release-health.
var builds = map[string]struct{ server, client string }{
	"9200": {"Windows Server 2012", "Windows 8"}, "9600": {"Windows Server 2012 R2", "Windows 8.1"},
	"7601":  {"Windows Server 2008 R2", "Windows 7"},
	"10240": {"", "Windows 10"}, "14393": {"Windows Server 2016", "Windows 10 Version 1607"},
	"17134": {"", "Windows 10 Version 1803"}, "17763": {"Windows Server 2019", "Windows 10 Version 1809"},
	"19042": {"", "Windows 10 Version 20H2"}, "19044": {"", "Windows 10 Version 21H2"}, "19045": {"", "Windows 10 Version 22H2"},
	"20348": {"Windows Server 2022", ""}, "25398": {"Windows Server 2022, 23H2 Edition", ""}, "26100": {"Windows Server 2025", "Windows 11 Version 24H2"},
	"22000": {"", "Windows 11 version 21H2"}, "22621": {"", "Windows 11 Version 22H2"}, "22631": {"", "Windows 11 Version 23H2"},
	"26200": {"", "Windows 11 Version 25H2"},
}

// productOf is a product as Microsoft's feeds name it, by its build, by what the machine
// calls itself where a server and a client share the build, and by the architecture,
// which is part of a client's name.
func productOf(build, name, arch string) string {
	parts := strings.Split(build, ".")
	if len(parts) < 3 {
		return name
	}
	b, ok := builds[parts[2]]
	switch {
	case !ok:
		return name
	case b.client == "" || b.server != "" && strings.Contains(name, "Server"):
		return b.server
	}
	switch strings.ToLower(arch) {
	case "x86", "i386", "i686":
		return b.client + " for 32-bit Systems"
	case "arm64", "aarch64":
		return b.client + " for ARM64-based Systems"
	}
	return b.client + " for x64-based Systems"
}
