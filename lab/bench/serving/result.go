package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/patchcycle/patchcycle/lab/measure"
)

// result is how fast a relay serves what it has, beside nginx.
type result struct {
	measure.Head
	Nginx string   `json:"nginx"`
	Cases []paired `json:"cases"`
}

// paired is pairs of runs: the same load on both, one after the other.
type paired struct {
	TLS     bool   `json:"tls"`
	FileMB  int    `json:"file_mb"`
	Clients int    `json:"clients"`
	Pairs   []pair `json:"pairs"`
}

type pair struct {
	Relay timing `json:"relay"`
	Nginx timing `json:"nginx"`
}

// timing is what one run took; a GB is 10^9 bytes. The client runs on the same cores.
type timing struct {
	GB        float64 `json:"gb"`
	Seconds   float64 `json:"seconds"`
	ServerCPU float64 `json:"server_cpu_seconds"`
	ClientCPU float64 `json:"client_cpu_seconds"`
}

func (r timing) speed() float64 { return r.GB / r.Seconds }
func (r timing) cost() float64  { return r.ServerCPU / r.GB }

// middle is the median over the pairs.
func (c paired) middle(of func(pair) float64) float64 {
	values := make([]float64, 0, len(c.Pairs))
	for _, p := range c.Pairs {
		values = append(values, of(p))
	}
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[n/2] + values[(n-1)/2]) / 2
}

// ratio is the relay's throughput, of nginx's.
func (c paired) ratio() float64 {
	return c.middle(func(p pair) float64 { return p.Relay.speed() / p.Nginx.speed() })
}

func (c paired) name() string {
	way := "HTTP"
	if c.TLS {
		way = "TLS"
	}
	return fmt.Sprintf("%s, %d MB, %d clients", way, c.FileMB, c.Clients)
}

func (c paired) words() string {
	return fmt.Sprintf("%.2f GB/s, nginx %.2f, ratio %.2f",
		c.middle(func(p pair) float64 { return p.Relay.speed() }), c.middle(func(p pair) float64 { return p.Nginx.speed() }), c.ratio())
}

// print writes the table of docs/performance.md.
func (r *result) print(w io.Writer) error {
	p := measure.NewPage(w)
	p.Line("%s\n", r.Head.String())
	p.Line("Beside %s. Medians of the pairs of runs; a GB is 10^9 bytes.\n", r.Nginx)
	p.Row("", "relay, GB/s", "nginx, GB/s", "ratio (least, most)", "relay, CPU s/GB", "nginx, CPU s/GB", "client, CPU s/GB")
	p.Rule(7)
	for _, c := range r.Cases {
		two := func(of func(pair) float64) string { return fmt.Sprintf("%.2f", c.middle(of)) }
		ratios := make([]float64, 0, len(c.Pairs))
		for _, pair := range c.Pairs {
			ratios = append(ratios, pair.Relay.speed()/pair.Nginx.speed())
		}
		p.Row(
			c.name(),
			two(func(p pair) float64 { return p.Relay.speed() }), two(func(p pair) float64 { return p.Nginx.speed() }),
			fmt.Sprintf("**%.2f** (%.2f, %.2f)", c.ratio(), slices.Min(ratios), slices.Max(ratios)),
			two(func(p pair) float64 { return p.Relay.cost() }), two(func(p pair) float64 { return p.Nginx.cost() }),
			two(func(p pair) float64 { return p.Relay.ClientCPU / p.Relay.GB }),
		)
	}
	return p.Err()
}
