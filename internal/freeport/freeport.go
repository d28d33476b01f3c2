// Package freeport chooses TCP ports for servers that must be told one before
// they listen.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// A Range is what ports are chosen from, both ends included.
type Range struct{ Low, High int }

// Quiet holds ports that systems do not hand out to outgoing connections (Linux
// does from 32768, others from 49152): between the choice and the server's
// listening, only somebody who listens could take one.
var Quiet = Range{Low: 20000, High: 31999}

// Choose returns n different ports of ip that nobody listens on and that are
// not among taken: those already promised to somebody who does not listen yet.
func (r Range) Choose(ip string, n int, taken ...int) ([]int, error) {
	const tries = 1000
	seen := map[int]bool{}
	for _, p := range taken {
		seen[p] = true
	}
	var ports []int
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := r.Low + rand.IntN(r.High-r.Low+1)
		if seen[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l.Close()
		seen[port] = true
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("fewer than %d ports of %s between %d and %d are free", n, ip, r.Low, r.High)
}
