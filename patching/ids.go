package patching

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Identifiers are typed so that a ring's name cannot be handed to something
// that wants a site's. They are opaque except where a constructor says so.
type (
	// AssetID names a machine for ever; it is never reused.
	AssetID string
	// DeviceID names one enrolled key. A machine that was installed anew
	// enrols again and gets a new one; the asset stays.
	DeviceID string
	// SiteName names a place with its own zone, windows and relay.
	SiteName string
	// PolicyName names a policy; its versions share the name.
	PolicyName string
	// CycleID is also the id of the cycle's workflow, see [NewCycleID].
	CycleID string
	// RingName is unique within a policy.
	RingName string
	// WaveID is also the id of the wave's workflow.
	WaveID string
	// OrderID names one instruction to one device.
	OrderID string
	// TaskID names something that a person has to do.
	TaskID string
	// DecisionID names what people have decided: a review, an exception, a work-around.
	DecisionID string
	// AccountName names a person or a service that acts through the product.
	AccountName string
)

// Roaming is the site of machines that belong to none.
const Roaming SiteName = "roaming"

// Digest is "sha256:" and 64 hexadecimal digits: the address of content.
type Digest string

// DigestOf returns the address of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Short returns the first twelve digits, enough for people to tell digests apart.
func (d Digest) Short() string {
	hexed := strings.TrimPrefix(string(d), "sha256:")
	if len(hexed) > 12 {
		return hexed[:12]
	}
	return hexed
}

// Valid reports whether d has the shape of a digest.
func (d Digest) Valid() bool {
	hexed, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok || len(hexed) != 2*sha256.Size {
		return false
	}
	_, err := hex.DecodeString(hexed)
	return err == nil && hexed == strings.ToLower(hexed)
}

var nameShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

// ValidName reports whether s can name a policy, a ring, a site or a window:
// 1 to 64 lower-case letters, digits, dots, dashes and underscores, beginning
// and ending with a letter or digit. Names become parts of workflow ids, where
// "/" separates.
func ValidName(s string) bool { return nameShape.MatchString(s) }

// Kind tells why a cycle runs.
type Kind string

// The kinds of cycle.
const (
	Monthly   Kind = "monthly"
	Emergency Kind = "emergency"
)

// NewCycleID returns "cycle/<policy>/<yyyy-mm>.<n>".
func NewCycleID(p PolicyName, year, month, n int) CycleID {
	return CycleID(fmt.Sprintf("cycle/%s/%04d-%02d.%d", p, year, month, n))
}

// NewEmergencyID returns "emergency/<policy>/<slug>".
func NewEmergencyID(p PolicyName, slug string) CycleID {
	return CycleID(fmt.Sprintf("emergency/%s/%s", p, slug))
}

// RingID returns "<cycle>/ring/<name>", the id of the ring's workflow.
func RingID(c CycleID, r RingName) string { return string(c) + "/ring/" + string(r) }

// NewWaveID returns "<ring>/wave/<site>/<window>/<occurrence>"; occurrence is
// the window's start in UTC, as 20260102T1504Z.
func NewWaveID(c CycleID, r RingName, s SiteName, window, occurrence string) WaveID {
	return WaveID(strings.Join([]string{RingID(c, r), "wave", string(s), window, occurrence}, "/"))
}
