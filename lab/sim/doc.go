// Package sim is a fleet of simulated machines in one process. Each runs the
// real agent's state machine and verifier over the real uplink; only its
// package manager is simulated, on real package sets with Debian's real pending
// updates (package lab/fixtures/debian).
//
// What is really wrong in the fleet is drawn by package truth. What really
// happened is written by each machine's package manager to its own log, the
// witness, before anybody is told: [Repeats] reads from it whether anything
// was installed twice. A kill at any instant leaves a state that a real machine
// could be in, and the next start goes on from there.
//
// The clock is the real one. Only durations (download, installation, restart)
// are scaled.
package sim
