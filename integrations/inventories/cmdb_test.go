package inventories_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

const cmdb = `"Name","FQDN","Serial number","IP Address","MAC Address","Location","Assigned to","Business criticality","Exposure","Labels","Notes"
web-1,web-1.example.com,SN-17,"10.0.0.17, fe80::1","52-54-00-12-34-56",Amsterdam DC1,Ana Müller,1 - most critical,Internet-facing,"shop;pci","said ""new"""
nas,,,10.0.0.40,,,,,,,
`

func table(t *testing.T, text string, o inventories.CMDBOptions) inventories.CMDB {
	t.Helper()
	c, err := inventories.ReadCMDB(strings.NewReader(text), o)
	require.NoError(t, err)
	return c
}

// Serves G1.
func TestAListOfAssetsIsReadByItsHeadings(t *testing.T) {
	want := []reconcile.Row{
		{Line: 2, Asset: patching.Asset{
			Hostname: "web-1.example.com", Serial: "SN-17", Addresses: []string{"10.0.0.17", "fe80::1"}, MACs: []string{"52:54:00:12:34:56"}, Site: "amsterdam-dc1",
			Owner: "Ana Müller", Criticality: patching.MissionCritical, Exposure: patching.Internet, Tags: []string{"shop", "pci"},
		}},
		{Line: 3, Asset: patching.Asset{Hostname: "nas", Addresses: []string{"10.0.0.40"}}},
	}
	latin := strings.ReplaceAll(cmdb, "ü", "\xfc")
	semicolons := `Name;FQDN;Serial number;IP Address;MAC Address;Location;Assigned to;Business criticality;Exposure;Labels;Notes
web-1;web-1.example.com;SN-17;10.0.0.17, fe80::1;525400123456;Amsterdam DC1;Ana Müller;critical;public;shop,pci;
nas;;;10.0.0.40
`
	for name, c := range map[string]struct {
		text string
		o    inventories.CMDBOptions
	}{
		"UTF-8":               {cmdb, inventories.CMDBOptions{}},
		"with its mark":       {"\xef\xbb\xbf" + cmdb, inventories.CMDBOptions{}},
		"UTF-16":              {utf16(cmdb, true), inventories.CMDBOptions{}},
		"Latin-1":             {latin, inventories.CMDBOptions{Encoding: "latin-1"}},
		"Windows-1252":        {latin, inventories.CMDBOptions{Encoding: "windows-1252"}},
		"semicolons":          {semicolons, inventories.CMDBOptions{}},
		"tabs":                {strings.ReplaceAll(semicolons, ";", "\t"), inventories.CMDBOptions{}},
		"lines end as in DOS": {strings.ReplaceAll(semicolons, "\n", "\r\n"), inventories.CMDBOptions{}},
		"rows of nothing":     {semicolons + ";;;;;;;;;;\n\n", inventories.CMDBOptions{}},
		"the name comes last": {strings.Replace(cmdb, "web-1,web-1.example.com", "web-1.example.com,web-1.example.com", 1), inventories.CMDBOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := table(t, c.text, c.o)
			require.Empty(t, got.Bad)
			require.Equal(t, want, got.Rows)
			require.Equal(t, inventories.Column{Heading: "Notes"}, got.Columns[10], "what is not read is said")
		})
	}
	excel := table(t, "sep=;\n"+semicolons, inventories.CMDBOptions{})
	require.Equal(t, 3, excel.Rows[0].Line, "lines are those of the file")
}

func TestAColumnIsWhatItIsSaidToBe(t *testing.T) {
	c := table(t, "asset;owner;custodian\nweb-1;ana;bea\n", inventories.CMDBOptions{Map: map[string]string{"Asset": "hostname", "custodian": "owner", "Owner": ""}})
	require.Equal(t, "bea", c.Rows[0].Owner)
	require.Equal(t, "web-1", c.Rows[0].Hostname)
}

// Serves Q7.
func TestABadRowIsNamedByLineAndColumnAndHidesNoOther(t *testing.T) {
	for row, says := range map[string]string{
		`web-1,10.0.0.999,amsterdam,high`:        `line 3, column 2 (ip): "10.0.0.999": "10.0.0.999" is no IP address`,
		`web-1,10.0.0.17,Zürich,high`:            `line 3, column 3 (site): "Zürich": cannot name a site`,
		`web-1,10.0.0.17,amsterdam,very`:         `line 3, column 4 (criticality): "very": it is not known what that means: want one of`,
		`web 1,10.0.0.17,amsterdam,high`:         `line 3, column 1 (name): "web 1": no hostname`,
		`,,amsterdam,high`:                       `line 3: nothing tells which machine it is`,
		`web-1,10.0.0.17,amsterdam,high,and,on`:  `line 3, column 5: 6 cells, and 4 headings`,
		`web-1,10.0.0.17,amster"dam,high`:        `line 3: bare " in non-quoted`,
		"web-\x07,10.0.0.17,amsterdam,high":      `control characters`,
		strings.Repeat("a", 300) + `,,,`:         `longer than 200 bytes`,
		`-,10.0.0.17,amsterdam,"high` + "\n\"\n": ``,
	} {
		c := table(t, "name,ip,site,criticality\nfirst,,,\n"+row+"\nlast,,,\n", inventories.CMDBOptions{})
		if says == "" {
			continue
		}
		require.Len(t, c.Bad, 1, row)
		require.Contains(t, c.Bad[0].Error(), says)
		require.Len(t, c.Rows, 2, row)
		require.Equal(t, "last", c.Rows[1].Hostname)
		require.Equal(t, 4, c.Rows[1].Line)
	}
}

// Serves Q7.
func TestAListThatCannotBeReadIsRefusedWithTheWayOut(t *testing.T) {
	for text, c := range map[string]struct {
		o    inventories.CMDBOptions
		says string
	}{
		"":                          {says: "neither comma"},
		"hello\nworld\n":            {says: "neither comma"},
		"color,size\nred,1\n":       {says: `no heading tells machines apart (color, size): say which does, such as --map "color=hostname"`},
		"name,host\na,b\n":          {says: `the columns "name" and "host" are both hostname: leave one out with --map "host="`},
		"name,owner\na,M\xfcller\n": {says: "line 2: byte 0xFC is no UTF-8: save it as UTF-8, or say --encoding latin-1 or windows-1252"},
		"name,owner\na,b\x00\n":     {says: "zero bytes"},
		"name,owner\na,b\n":         {inventories.CMDBOptions{Encoding: "ebcdic"}, `encoding "ebcdic": want one of`},
		"name,owner\na,c\n":         {inventories.CMDBOptions{Map: map[string]string{"owner": "boss"}}, "--map owner=boss: there is no such field: write one of address"},
		"name,owner\na,d\n":         {inventories.CMDBOptions{Map: map[string]string{"boss": "owner"}}, `no column is called "boss": there are name, owner`},
		"name,\"owner\na,e\n":       {says: "line"},
		"name,ip\n" + strings.Repeat("a,\n", 100_001): {says: "line 100002: more than 100000 machines"},
		strings.Repeat("a,b\n", 1_000_100):            {inventories.CMDBOptions{Map: map[string]string{"a": "hostname"}}, "more than 1000000 rows"},
		strings.Repeat("a,bbbbbbb\n", 7<<20):          {says: "64 MB"},
	} {
		_, err := inventories.ReadCMDB(strings.NewReader(text), c.o)
		require.ErrorContains(t, err, c.says, "%.60q", text)
	}
}

func FuzzCMDB(f *testing.F) {
	f.Add([]byte(cmdb))
	f.Add([]byte(utf16(cmdb, true)))
	f.Add([]byte("sep=;\nname;ip\na;10.0.0.1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := inventories.ReadCMDB(strings.NewReader(string(text)), inventories.CMDBOptions{})
		if err != nil {
			return
		}
		for _, r := range c.Rows {
			require.Positive(t, r.Line)
		}
		_ = reconcile.CompareAssets(c.Rows, nil)
	})
}
