// Command real sends real Debian machines through whole patch cycles: a server
// in the network of a lab, machines that reach nothing but it, with the agent's
// Debian package installed. First a cycle that goes well; then one with a patch
// that apt calls good and that stops a service on one machine.
//
// It goes by what it sees from outside: dpkg's log and the boot ids of the
// machines, beside the record of the server.
package main
