// Package archive plays Debian's archive for the lab: Debian's own signed
// indexes and packages, taken once from the mirror that apt uses on this
// machine, and from then on the same for every machine of the lab.
package archive
