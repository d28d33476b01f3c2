// Package netns makes network namespaces and does things inside them. A
// namespace is kept by a file that its maker chose, not under /run/netns: what
// a lab made can then be found, and taken away, by its folder alone.
package netns
