// Package uplink is the one protocol that everything away from the server
// speaks: agents directly, relays for many of them.
//
// TLS protects a hop and may end at a relay; the device's signature over each
// [Message] is the identity. The unit of the wire is a batch of messages of
// many devices: an agent sends a batch of one, a relay holds one poll for all.
// Nothing is acknowledged that is not durable on the server, so whoever did not
// get an acknowledgement sends the same message again under the same counter.
//
// The wire is described in docs/protocol.md.
package uplink
