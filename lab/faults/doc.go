// Package faults makes things go wrong in the lab, on demand: a signed
// repository of packages whose next version is bad in one way each, and
// machines that are out of space, locked, or killed in the middle of something.
package faults
