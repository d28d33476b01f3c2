// Package root is the server's end of the uplink: it enrols machines, takes
// what they report, turns released batches into signed orders and start
// permits, and wakes the machines that wait for them.
//
// It decides nothing: what is ordered comes from the cycle's activities through
// the [Dispatcher], what was reported goes to the store. It keeps no state that
// a restart could lose; what it holds in memory saves questions to the store.
package root
