package policy

import "embed"

// examples holds monthly.yaml, a complete policy to begin with (docs/policy.md
// shows it), and demo.yaml, the policy of the demo.
//
//go:embed examples/*.yaml
var examples embed.FS

// Example returns the text of an embedded policy: "monthly" or "demo".
func Example(name string) ([]byte, error) { return examples.ReadFile("examples/" + name + ".yaml") }
