// Package trust says who may order what: the trust root that machines pin,
// signed orders and leases with the closed table of verbs, and the verifier
// that stands between an order and the machine.
//
// Every signed document is canonical JSON in a DSSE envelope. Signatures are
// checked over raw bytes before anything of the payload is parsed. encoding/json
// takes the last of duplicate keys and matches names without regard to case, so
// that parsing is strict and the result must encode to the same bytes again.
package trust
