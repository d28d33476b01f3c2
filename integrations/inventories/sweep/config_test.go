package sweep

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const listed = `networks:
  - name: office
    ranges: [10.1.0.0/28, 10.1.9.9]
    exclude: [10.1.0.1, 10.1.0.8/30]
    ports: [22]
  - name: shop
    ranges: [203.0.113.0/29]
    public: true
limits:
  rate: 100
  addresses: 32
  minutes: 2
`

func config(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "networks.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return ReadConfig(file)
}

func addresses(p Plan) (all []string) {
	for _, t := range p.Targets {
		all = append(all, t.Addr.String())
	}
	return all
}

// Serves G1, L2.
func TestASweepTriesWhatIsListedAndNamedAndNothingElse(t *testing.T) {
	c, err := config(t, listed)
	require.NoError(t, err)
	p, err := c.Plan([]string{"office"}, []netip.Prefix{netip.MustParsePrefix("10.1.0.5/29"), netip.MustParsePrefix("127.0.0.1/8")})
	require.NoError(t, err)
	require.Equal(t, []string{
		"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.6", "10.1.0.12", "10.1.0.13", "10.1.0.14", "10.1.9.9",
	}, addresses(p), "neither what is excluded, nor oneself, nor what means all machines of a network, the one that we are in included")
	require.Equal(t, 16, p.Probes())
	require.Equal(t, 100, p.Rate)
	p, err = c.Plan([]string{"shop", "shop"}, nil)
	require.NoError(t, err)
	require.Len(t, p.Targets, 6, "each address once")
	_, err = c.Plan([]string{"10.1.0.0/28"}, nil)
	require.ErrorContains(t, err, `network "10.1.0.0/28" is not listed: there are office, shop`)
}

// Serves Q7.
func TestASweepThatWouldPassALimitIsRefusedAsAWhole(t *testing.T) {
	for change, says := range map[[2]string]string{
		{"10.1.0.0/28", "10.1.0.0/24"}: "range 10.1.0.0/24 of office has more than the 32 addresses",
		{"10.1.0.0/28", "10.0.0.0/8"}:  "range 10.0.0.0/8 of office has more than",
		{"10.1.0.0/28", "fc00::/7"}:    "range fc00::/7 of office has more than",
	} {
		c, err := config(t, strings.Replace(listed, change[0], change[1], 1))
		require.NoError(t, err)
		_, err = c.Plan([]string{"office"}, nil)
		require.ErrorContains(t, err, says)
	}
	c, err := config(t, listed)
	require.NoError(t, err)
	c.Addresses = 14
	_, err = c.Plan([]string{"office", "shop"}, nil)
	require.ErrorContains(t, err, "and one sweep may try 14: name fewer networks")
	c.Addresses, c.Rate, c.Time = 32, 1, 10*time.Second
	_, err = c.Plan([]string{"office"}, nil)
	require.ErrorContains(t, err, "probes at 1 a second take")
}

// Serves Q7.
func TestAListOfNetworksIsRefusedWithItsLine(t *testing.T) {
	for change, says := range map[[2]string]string{
		{"    public: true\n", ""}:                         `networks.yaml:7: range "203.0.113.0/29": these are addresses of the Internet`,
		{"public: true", "public: maybe"}:                  `networks.yaml:8: public "maybe"`,
		{"10.1.0.0/28", "10.1.0.1/28"}:                     `networks.yaml:3: range "10.1.0.1/28": the range that it is in begins at 10.1.0.0/28`,
		{"10.1.0.0/28", "10.1.0.0-10"}:                     `want a range such as`,
		{"10.1.0.0/28", "127.0.0.0/28"}:                    `no machine of a network has such addresses`,
		{"10.1.0.0/28", "224.0.0.0/28"}:                    `no machine of a network has such addresses`,
		{"10.1.0.0/28", "0.0.0.0/0"}:                       `no machine of a network has such addresses`,
		{"10.1.0.0/28", "10.0.0.0/7"}:                      `these are addresses of the Internet`,
		{"name: shop", "name: office"}:                     `networks.yaml:6: name "office": another network has this name`,
		{"name: shop", "name: Shop"}:                       `name "Shop": want 1 to 64`,
		{"[22]", "[0]"}:                                    `port "0": want 1 to 65535`,
		{"[22]", "[" + strings.Repeat("22, ", 17) + "22]"}: `more than 16 ports`,
		{"rate: 100", "rate: 5000"}:                        `networks.yaml:10: rate "5000": want 1 to 1000`,
		{"minutes: 2", "minutes: two"}:                     `minutes "two"`,
		{"exclude:", "excluded:"}:                          `excluded`,
		{"ranges: [203.0.113.0/29]", ""}:                   `it has no ranges`,
		{listed, ""}:                                       `no networks: write a list`,
	} {
		require.Contains(t, listed, change[0])
		_, err := config(t, strings.Replace(listed, change[0], change[1], 1))
		require.ErrorContains(t, err, says, "%v", change)
	}
	_, err := ReadConfig(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "no such file")
}

func TestEveryTargetIsInARangeOfANetworkThatWasNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := func(name string) netip.Prefix {
			a := netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 1).Draw(t, name)), rapid.Byte().Draw(t, name)})
			return netip.PrefixFrom(a, rapid.IntRange(24, 32).Draw(t, name+" bits")).Masked()
		}
		c := Config{Rate: 1000, Addresses: 4096, Time: time.Hour}
		for _, name := range []string{"a", "b"} {
			n := Network{Name: name, Ports: []uint16{22}}
			for range rapid.IntRange(1, 3).Draw(t, "ranges") {
				n.Ranges = append(n.Ranges, prefix("range"))
			}
			for range rapid.IntRange(0, 2).Draw(t, "excluded") {
				n.Exclude = append(n.Exclude, prefix("exclude"))
			}
			c.Networks = append(c.Networks, n)
		}
		own := []netip.Prefix{netip.PrefixFrom(prefix("own").Addr(), 24)}
		p, err := c.Plan([]string{"a"}, own)
		require.NoError(t, err)
		seen := map[netip.Addr]bool{}
		for _, target := range p.Targets {
			in := func(all []netip.Prefix) bool {
				return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(target.Addr) })
			}
			require.True(t, in(c.Networks[0].Ranges) && !in(c.Networks[0].Exclude))
			require.NotEqual(t, own[0].Addr(), target.Addr)
			require.False(t, seen[target.Addr])
			seen[target.Addr] = true
		}
	})
}

func TestTheNeighbourCacheIsReadWithoutItsOpenQuestions(t *testing.T) {
	for line, want := range map[string]string{
		"10.0.0.2         0x1         0x2         52:54:00:12:34:56     *        eth0":   "10.0.0.2 52:54:00:12:34:56",
		"10.0.0.3         0x1         0x0         00:00:00:00:00:00     *        eth0":   "",
		"IP address       HW type     Flags       HW address            Mask     Device": "",
		"": "",
	} {
		a, mac, ok := neighbour(line)
		require.Equal(t, want != "", ok)
		if ok {
			require.Equal(t, want, a.String()+" "+mac)
		}
	}
}

func FuzzNetworks(f *testing.F) {
	f.Add([]byte(listed))
	f.Add([]byte("networks: [{name: a, ranges: ['::/0']}]"))
	file := filepath.Join(f.TempDir(), "networks.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(file, text, 0o600))
		c, err := ReadConfig(file)
		if err != nil {
			return
		}
		p, err := c.Plan(c.Names(), nil)
		if err == nil {
			require.LessOrEqual(t, len(p.Targets), mostAddresses)
		}
	})
}
