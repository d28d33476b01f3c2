package patching

import (
	"slices"
	"strings"
	"time"
)

// Role is what a person may do, within a scope.
type Role string

// The roles. Nobody has them all by default but the administrator that the
// first start creates, who cannot approve.
const (
	RoleAdmin        Role = "admin" // accounts, engine, policies' application
	RoleAuthor       Role = "author"
	RoleApprover     Role = "approver"
	RoleOperator     Role = "operator"
	RoleSiteAdmin    Role = "site-admin"
	RoleSecurityLead Role = "security-lead"
	RoleAuditor      Role = "auditor"
)

// Roles lists all of them.
func Roles() []Role {
	return []Role{RoleAdmin, RoleAuthor, RoleApprover, RoleOperator, RoleSiteAdmin, RoleSecurityLead, RoleAuditor}
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Account is a person, or a service, as it stands now. Its history is
// append-only, so that who held which role on a past day can be asked (G6).
type Account struct {
	Name  AccountName
	Roles []Role
	// Scopes limit the roles: "*" is everything, "policy:<name>", "site:<name>".
	Scopes []string
	// SSHKeys are kept, as authorized_keys lines, for signatures.
	SSHKeys []string
	// Token is the address of the bearer token; the token itself is shown once.
	Token   Digest
	Created time.Time
	Revoked time.Time // zero: in force
}

// Has reports whether the account holds one of the roles.
func (a Account) Has(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(a.Roles, r) })
}

// Covers reports whether the account's scope takes in the policy.
func (a Account) Covers(p PolicyName) bool {
	return slices.Contains(a.Scopes, "*") || slices.Contains(a.Scopes, "policy:"+string(p))
}

// CoversSite reports whether the account's scope takes in the site.
func (a Account) CoversSite(s SiteName) bool {
	return slices.Contains(a.Scopes, "*") || slices.Contains(a.Scopes, "site:"+string(s))
}

// MayAcceptRisk says why the account may not leave a flaw open for longer than the rules
// allow; empty: it may. A security lead may (U9), who is not an author as well: who writes
// what is patched when does not also forgive what was not.
func (a Account) MayAcceptRisk() string {
	switch {
	case !a.Has(RoleSecurityLead):
		return string(a.Name) + " is no security lead: only those accept a risk."
	case a.Has(RoleAuthor):
		return string(a.Name) + " is an author of policies as well: another security lead has to accept the risk."
	}
	return ""
}

// HasSites reports whether the account's scope names sites.
func (a Account) HasSites() bool {
	return slices.ContainsFunc(a.Scopes, func(s string) bool { return strings.HasPrefix(s, "site:") })
}

// AuditEntry is one line of the chain of decisions.
type AuditEntry struct {
	Seq   int64
	At    time.Time
	Actor string // account, or the part of the product that decided
	Verb  string
	// Subject is what it was about: a cycle, a ring, an account.
	Subject string
	// Body is canonical JSON or text; Digest addresses it.
	Body string
	// Prev and Hash chain the entries: Hash covers Prev and all the above.
	Prev, Hash Digest
}
