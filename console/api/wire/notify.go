package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Notify is who is told what, and what was told lately.
type Notify struct {
	OK         bool        `json:"ok" doc:"The file has no mistake, and no message fails; also where there is no file, so that nobody is told anything."`
	Words      string      `json:"words"`
	WayOut     string      `json:"way_out,omitempty"`
	Recipients []Recipient `json:"recipients"`
	Messages   []Message   `json:"messages" doc:"The newest first."`
}

// Recipient is an address and what it is told.
type Recipient struct {
	Name       string                `json:"name"`
	To         string                `json:"to" doc:"The address, without its secrets."`
	Account    patching.AccountName  `json:"account,omitempty" doc:"Whose roles and scopes count."`
	Roles      []patching.Role       `json:"roles,omitempty" doc:"None, with an account: it was revoked, or is not there."`
	Sites      []patching.SiteName   `json:"sites,omitempty" doc:"None: all."`
	Policies   []patching.PolicyName `json:"policies,omitempty" doc:"None: all."`
	Owners     []string              `json:"owners,omitempty"`
	Kinds      []string              `json:"kinds,omitempty" doc:"None: all."`
	Every      string                `json:"every"`
	AlertEvery string                `json:"alert_every"`
}

// Message is what was told to somebody.
type Message struct {
	ID        string    `json:"id" doc:"The same each time that it is sent: in the Message-ID of a mail, and as webhook-id."`
	Recipient string    `json:"recipient"`
	Lane      string    `json:"lane" enum:"digest,alert,test"`
	State     string    `json:"state" enum:"pending,sent,given-up,dropped"`
	Made      time.Time `json:"made"`
	Ended     time.Time `json:"ended,omitzero"`
	Next      time.Time `json:"next,omitzero" doc:"When it is tried again."`
	Notices   int       `json:"notices"`
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	Tries     int       `json:"tries"`
	Error     string    `json:"error,omitempty" doc:"What went wrong the last time."`
}

// NotifyTest is what became of a test message.
type NotifyTest struct {
	OK    bool   `json:"ok"`
	Words string `json:"words"`
}
