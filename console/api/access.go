package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// reach says which part of the house an action is about, and with it which
// scope the account needs.
type reach string

const (
	// anywhere: nothing of one policy or site is in it.
	anywhere reach = "anywhere"
	// everything: it is about all policies and sites, so the scope has to be "*".
	everything reach = "everything"
	// ofPolicy: the policy that the URL names.
	ofPolicy reach = "policy"
	// toSee: a cycle of the policy that the URL names. Those with sites in their
	// scope see it too, but only their machines in it.
	toSee reach = "policy to see"
	// ofMachines: the policy that the URL names, or machines of it that are at
	// sites in their scope. Handlers ask [contract.VerbRule.Outside].
	ofMachines reach = "machines"
	// ofSite: a site that only the handler can know. Handlers ask [seesSite].
	ofSite reach = "site"
)

// rule is a row of the table of who may do what.
type rule struct {
	may  []patching.Role
	over reach
}

// rules is the table, by the operation's id. What has no row is allowed to
// nobody. Reading takes any role: auditors, who have no other row, read
// everything in their scope and change nothing (U5).
func rules() map[string]rule {
	const (
		admin    = patching.RoleAdmin
		author   = patching.RoleAuthor
		approver = patching.RoleApprover
		operator = patching.RoleOperator
		site     = patching.RoleSiteAdmin
		security = patching.RoleSecurityLead
		auditor  = patching.RoleAuditor
	)
	all := patching.Roles()
	may := func(r ...patching.Role) []patching.Role { return r }
	table := map[string]rule{
		"get-server": {all, anywhere},
		"doctor":     {all, anywhere},
		"enter-ui":   {all, anywhere}, // as oneself: Temporal's server asks for the account again

		"list-policies":     {all, anywhere}, // shows those in scope
		"get-policy":        {all, ofPolicy},
		"get-policy-past":   {all, ofPolicy},
		"get-calendar":      {all, ofPolicy},
		"get-urgency":       {all, ofPolicy},
		"lint-policy":       {all, anywhere}, // changes nothing
		"apply-policy":      {may(admin, author), ofPolicy},
		"list-schedules":    {all, anywhere}, // shows those in scope
		"get-schedule":      {all, ofPolicy},
		"set-schedule":      {may(admin, author, operator), ofPolicy},
		"pause-schedule":    {may(admin, author, operator, approver, security), ofPolicy},
		"resume-schedule":   {may(admin, author, operator), ofPolicy},
		"list-assets":       {all, ofSite},
		"get-asset":         {all, ofSite},
		"get-findings":      {all, ofSite},
		"set-asset-facts":   {may(admin, operator, site), ofSite},
		"import-assets":     {may(admin, operator), everything},
		"list-enrol-tokens": {all, ofSite},
		"make-enrol-token":  {may(admin, operator, site), ofSite},
		"list-devices":      {all, ofSite},
		"accept-device":     {may(admin, operator, site), ofSite},
		"replace-device":    {may(admin, operator, site), ofSite},
		"revoke-device":     {may(admin, operator, site, security), ofSite},

		"list-cycles":      {all, anywhere}, // shows those in scope
		"get-cycle":        {all, toSee},
		"watch-cycle":      {all, toSee},
		"get-plan":         {all, toSee},
		"list-deployments": {all, toSee},
		"get-machine":      {all, toSee},
		"list-decisions":   {all, toSee},
		"list-approvals":   {all, toSee},
		"get-grants":       {all, toSee},
		"get-plan-file":    {all, ofPolicy}, // names machines of every site
		"get-report":       {all, ofPolicy}, // names machines of every site
		"start-cycle":      {may(admin, author, operator), ofPolicy},
		"start-emergency":  {may(admin, author, operator, security), ofPolicy},

		"list-tasks": {all, ofSite},
		"get-task":   {all, ofSite},
		"take-task":  {may(admin, operator, site, approver, security), ofSite}, // handlers ask [mayLookAfter]
		"done-task":  {may(admin, operator, site, approver, security), ofSite},

		"list-accounts":  {may(admin, security, auditor), everything},
		"add-account":    {may(admin), everything},
		"revoke-account": {may(admin), everything},
		"list-audit":     {may(admin, security, auditor), everything},
		"verify-audit":   {may(admin, security, auditor), everything},
		"list-notify":    {may(admin, operator, security, auditor), everything}, // messages name machines of every site
		"test-notify":    {may(admin, operator), everything},
	}
	maps.Copy(table, assessing())
	for _, v := range contract.Verbs() {
		over := ofPolicy
		if v.OfMachines {
			over = ofMachines
		}
		table[string(v.Verb)+"-cycle"] = rule{v.May, over}
	}
	return table
}

// refuse says in words why the account may not do what the rule is about;
// empty: it may. policy is the one that the URL names, if it names one.
func (r rule) refuse(a patching.Account, policy patching.PolicyName) string {
	if !a.Has(r.may...) {
		return fmt.Sprintf("%s has the %s; this takes one of %s.", a.Name, roleWords(a.Roles), join(r.may))
	}
	switch r.over {
	case everything:
		if !slices.Contains(a.Scopes, "*") {
			return fmt.Sprintf("%s is limited to %s; this is about everything.", a.Name, join(a.Scopes))
		}
	case ofPolicy:
		if !a.Covers(policy) {
			return fmt.Sprintf("policy %s is outside of what %s is limited to: %s.", policy, a.Name, join(a.Scopes))
		}
	case toSee, ofMachines:
		if !a.Covers(policy) && !a.HasSites() {
			return fmt.Sprintf("policy %s is outside of what %s is limited to: %s.", policy, a.Name, join(a.Scopes))
		}
	case anywhere, ofSite:
	}
	return ""
}

// seesSite reports whether the machines of the site are in the account's scope.
// Whoever is limited to policies sees all machines, for a policy selects among
// them; whoever is limited to sites sees those.
func seesSite(a patching.Account, s patching.SiteName) bool {
	return a.CoversSite(s) || hasPolicies(a)
}

// seesAllSites reports whether no machine has to be left out for the account.
func seesAllSites(a patching.Account) bool { return slices.Contains(a.Scopes, "*") || hasPolicies(a) }

// seesInCycle is [seesSite] within a cycle of the policy.
func seesInCycle(a patching.Account, p patching.PolicyName, s patching.SiteName) bool {
	return a.Covers(p) || a.CoversSite(s)
}

func hasPolicies(a patching.Account) bool {
	return slices.ContainsFunc(a.Scopes, func(s string) bool { return strings.HasPrefix(s, "policy:") })
}

func roleWords(roles []patching.Role) string {
	if len(roles) == 1 {
		return "role " + string(roles[0])
	}
	return "roles " + join(roles)
}

func join[S ~string](all []S) string {
	if len(all) == 0 {
		return "nothing"
	}
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// assessing is the part of the table about what is urgent, and who decides that.
func assessing() map[string]rule {
	all := patching.Roles()
	may := func(r ...patching.Role) []patching.Role { return r }

	return map[string]rule{
		// Whoever decides about urgency decides for all machines that a selector takes.
		"list-waiting":  {all, anywhere},
		"list-reviews":  {all, anywhere},
		"add-review":    {may(patching.RoleSecurityLead), everything},
		"end-review":    {may(patching.RoleSecurityLead), everything},
		"get-hold":      {all, anywhere},
		"hold-machines": {may(patching.RoleAdmin, patching.RoleOperator, patching.RoleApprover, patching.RoleSecurityLead), everything},
		"lift-hold":     {may(patching.RoleOperator, patching.RoleApprover, patching.RoleSecurityLead), everything},

		"get-trust-root":     {all, anywhere},
		"put-trust-root":     {may(patching.RoleAdmin), everything}, // worth nothing without the root keys
		"make-next-key":      {may(patching.RoleAdmin), everything},
		"list-papers":        {all, anywhere},
		"sign-paper":         {may(patching.RoleApprover), anywhere}, // the signature says for whom
		"draft-pre-approval": {may(patching.RoleApprover, patching.RoleAuthor), anywhere},

		"list-exceptions":   {all, anywhere},
		"add-exception":     {may(patching.RoleSecurityLead), everything},
		"expire-exception":  {may(patching.RoleSecurityLead), everything},
		"list-workarounds":  {all, ofSite}, // shows the machines in scope
		"get-workaround":    {all, ofSite},
		"add-workaround":    {applies, anywhere},
		"step-workaround":   {applies, ofSite},
		"list-advisories":   {all, anywhere},
		"get-advisory":      {all, anywhere},
		"add-advisories":    {may(patching.RoleAuthor, patching.RoleOperator, patching.RoleSecurityLead), everything},
		"withdraw-advisory": {may(patching.RoleAuthor, patching.RoleOperator, patching.RoleSecurityLead), everything},
		"list-backups":      {all, ofSite}, // shows the machines in scope
		"check-backups":     {may(patching.RoleAdmin, patching.RoleOperator), everything},
		"list-feeds":        {all, anywhere},
		"get-feed":          {all, anywhere},
		"sync-feeds":        {may(patching.RoleAdmin, patching.RoleOperator, patching.RoleSecurityLead), everything},
		"import-feed":       {may(patching.RoleAdmin, patching.RoleOperator, patching.RoleSecurityLead), everything}, // over a refusal: not the operator
	}
}
