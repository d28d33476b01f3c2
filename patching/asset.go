package patching

import "time"

// Asset is a machine that we know.
type Asset struct {
	ID       AssetID
	Device   DeviceID // empty: nobody enrolled it, so nothing can be ordered
	Hostname string
	Site     SiteName
	// Addresses are IP addresses, MACs are hardware addresses, as the machine reports them.
	Addresses []string
	MACs      []string
	Serial    string
	Cloud     string // instance id at a cloud provider
	Vendor    string
	Model     string
	OS        OS
	// Zone is the machine's own IANA zone; empty means its site's.
	Zone         string
	BusinessUnit string
	Owner        string
	Tags         []string
	Exposure     Exposure
	Criticality  Criticality
	DataClass    string
	Services     []string
	// Manager is the package manager that decides what can be installed ("apt").
	Manager string
	// Agent is the version of the agent that sent the last inventory; empty: it did
	// not say.
	Agent string
	// Packages and Candidates are addresses of what is installed and offered.
	Packages   Digest
	Candidates Digest
	// Allowed are the verbs that the machine's own host rules accept. The
	// server plans by them; the machine enforces them.
	Allowed []string
	// OtherManagers are other things that patch this machine, found by the
	// agent (unattended-upgrades, dnf-automatic, Landscape).
	OtherManagers []string
	// Broken names packages that are half installed.
	Broken        []string
	RebootPending bool
	// CarriesPatchcycle says that the server, its database or a relay runs here:
	// such machines go alone, in waves of their own.
	CarriesPatchcycle bool
	// Relay is the route by which the machine was last heard; empty is direct.
	Relay string
	// Seen is when its last authenticated message came, Inventoried when its
	// last inventory did.
	Seen        time.Time
	Inventoried time.Time
	// ClockOff is how far ahead of the server's the machine's clock was when it
	// last said so, negative: behind; zero: close enough to judge windows by.
	ClockOff time.Duration
}

// OS is what runs on an asset.
type OS struct {
	Family   string // debian, rhel, suse, windows, macos
	Name     string // as /etc/os-release or its like gives it
	Release  string // 12
	Revision string // 12.15
	Kernel   string // running, as uname -r
	Arch     string // amd64
}

// Exposure says from where an asset can be reached. It is never guessed.
type Exposure string

// The exposures.
const (
	ExposureUnknown Exposure = "unknown"
	Internet        Exposure = "internet"
	Internal        Exposure = "internal"
	Isolated        Exposure = "isolated"
)

// Criticality says what the loss of an asset costs.
type Criticality string

// The criticalities, from least to most.
const (
	CriticalityUnknown Criticality = "unknown"
	Low                Criticality = "low"
	Medium             Criticality = "medium"
	High               Criticality = "high"
	MissionCritical    Criticality = "critical"
)

// DeviceState is how far an enrolment has come.
type DeviceState string

// The states of a device. An id is never reused: a revoked one stays revoked.
const (
	DevicePending     DeviceState = "pending"
	DeviceAccepted    DeviceState = "accepted"
	DeviceQuarantined DeviceState = "quarantined" // its counters forked: a clone
	DeviceRevoked     DeviceState = "revoked"
)

// Terminal reports whether the state is final.
func (s DeviceState) Terminal() bool { return s == DeviceRevoked }

// Device is an enrolled key.
type Device struct {
	ID    DeviceID
	Asset AssetID
	// Key is the device's raw ed25519 public key (32 bytes).
	Key   []byte
	State DeviceState
	Site  SiteName
	// Counter and Boot are those of the last message taken: a lower counter is
	// a replay; the same counter with another body is a fork.
	Counter  uint64
	Boot     string
	Enrolled time.Time
	ClockOff time.Duration // as in [Asset]
}
