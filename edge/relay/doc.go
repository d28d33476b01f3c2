// Package relay is a site's end of the uplink: it stands between machines and
// the server, or between them and another relay, and passes on.
//
// Orders, start permits, trust roots and acknowledgements go down as they came,
// messages go up as they came. It has no key that counts, so it can delay, and
// nothing else: what it altered is refused by whoever gets it. What it does beside
// passing on saves the line to the server: one poll for all machines, messages
// in batches, each package once. And it keeps receipts through a cut of that
// line, for machines that may not be there any more when it is over.
package relay
