// Package courier is the part of an agent that speaks to the network, and the
// socket between it and the rest. It runs as a user of its own, knows one server and
// the relays before it, and carries bytes: a closed list of requests, bounded in size
// and time. It holds no key and keeps nothing. Whoever takes it over can withhold and lie, as whoever
// owns the line can: the agent verifies everything again.
//
// The agent's other part, the hand, runs without any network and asks through the
// sockets ([Link], [Pipe]).
package courier
