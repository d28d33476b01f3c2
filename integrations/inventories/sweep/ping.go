package sweep

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// family is a version of IP, with how its echoes are sent and told.
type family struct {
	datagram, raw, any string
	request, reply     icmp.Type
	protocol           int
}

var (
	four = family{"udp4", "ip4:icmp", "0.0.0.0", ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1}
	six  = family{"udp6", "ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58}
)

// ping sends one echo request to each address, where this process may: by a ping socket,
// which takes net.ipv4.ping_group_range, or by a raw one, which takes root.
func (s *sweep) ping(ctx context.Context) (notSent string, err error) {
	for _, f := range []family{four, six} {
		var targets []Target
		for _, t := range s.plan.Targets {
			if t.Addr.Is4() == (f == four) {
				targets = append(targets, t)
			}
		}
		if len(targets) == 0 {
			continue
		}
		conn, datagram, err := f.listen()
		if err != nil {
			notSent = fmt.Sprintf("this process may send none (%v): root may, or whoever net.ipv4.ping_group_range names", err)
			for range targets {
				s.ended()
			}
			continue
		}
		asked := s.echo(ctx, f, conn, datagram, targets)
		if err := errors.Join(asked, conn.Close()); err != nil {
			return notSent, err
		}
	}
	return notSent, nil
}

func (f family) listen() (conn *icmp.PacketConn, datagram bool, err error) {
	if conn, err = icmp.ListenPacket(f.datagram, f.any); err == nil {
		return conn, true, nil
	}
	conn, raw := icmp.ListenPacket(f.raw, f.any)
	if raw != nil {
		return nil, false, err
	}
	return conn, false, nil
}

func (s *sweep) echo(ctx context.Context, f family, conn *icmp.PacketConn, datagram bool, targets []Target) error {
	by := make(map[netip.Addr]Target, len(targets))
	for _, t := range targets {
		by[t.Addr] = t
	}
	id := os.Getpid() & 0xffff
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		s.listen(f, conn, datagram, id, by)
	}()
	var err error
	for n, t := range targets {
		if err = s.send(ctx); err != nil {
			break
		}
		m := icmp.Message{Type: f.request, Body: &icmp.Echo{ID: id, Seq: n & 0xffff, Data: []byte("patchcycle asset sweep")}}
		packet, wrong := m.Marshal(nil)
		if wrong != nil {
			return wrong
		}
		var to net.Addr = &net.IPAddr{IP: t.Addr.AsSlice()}
		if datagram {
			to = &net.UDPAddr{IP: t.Addr.AsSlice()}
		}
		// An address that has no way to it, or nobody on the wire, is an answer too.
		_, _ = conn.WriteTo(packet, to)
		s.ended()
	}
	// The last ones get as long as all others.
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	<-heard
	return err
}

// listen notes who answers, until the connection's deadline.
func (s *sweep) listen(f family, conn *icmp.PacketConn, datagram bool, id int, by map[netip.Addr]Target) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		var netErr net.Error
		switch {
		case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue // a router's complaint about one address
		}
		m, err := icmp.ParseMessage(f.protocol, buffer[:n])
		if err != nil || m.Type != f.reply {
			continue
		}
		// The kernel gives a ping socket its own id, and only its own answers.
		if e, ok := m.Body.(*icmp.Echo); !ok || !datagram && e.ID != id {
			continue
		}
		if t, asked := by[addrOf(from)]; asked {
			s.note(t, Echoed, 0)
		}
	}
}

func addrOf(a net.Addr) netip.Addr {
	var ip net.IP
	switch a := a.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	out, _ := netip.AddrFromSlice(ip)
	return out.Unmap()
}
