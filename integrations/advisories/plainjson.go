package advisories

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// plainJSON passes a JSON text on, and ends with an error where it goes too deep or names a
// field twice. The standard library would follow it for 10,000 levels, and takes the last of
// two fields: who looks for the first would be shown another text than we read.
type plainJSON struct {
	in io.Reader
	// groups are those around the place, each within the one before. Group 0 is the text.
	groups [maxDepth + 1]group
	depth  int
	quoted bool
	escape bool
	// key: the next word is a field's name, or this one is, of which name are the bytes.
	key  bool
	name []byte
}

// group is an object, or a list if it has no fields.
type group struct {
	object bool
	fields map[string]bool
}

// maxName is how many bytes of a name are looked at. Those that begin with as many in common
// are taken for different ones.
const maxName = 1 << 10

func (j *plainJSON) Read(p []byte) (int, error) {
	n, err := j.in.Read(p)
	for _, b := range p[:n] {
		if j.quoted {
			if err := j.inWord(b); err != nil {
				return 0, err
			}
			continue
		}
		switch b {
		case '"':
			j.quoted, j.name = true, j.name[:0]
		case ',':
			j.key = j.groups[j.depth].object
		case '{', '[':
			if j.depth == maxDepth {
				return 0, errDeep
			}
			j.depth++
			g := &j.groups[j.depth]
			g.object, j.key = b == '{', b == '{'
			clear(g.fields)
		case '}', ']':
			j.depth, j.key = max(0, j.depth-1), false
		}
	}
	return n, err
}

func (j *plainJSON) inWord(b byte) error {
	switch {
	case j.escape:
		j.escape = false
	case b == '\\':
		j.escape = true
	case b == '"':
		j.quoted = false
		if j.key {
			j.key = false
			return j.field()
		}
		return nil
	}
	if j.key && len(j.name) <= maxName {
		j.name = append(j.name, b)
	}
	return nil
}

// field notes the name that was read.
func (j *plainJSON) field() error {
	if len(j.name) > maxName {
		return nil
	}
	name := string(j.name)
	if bytes.IndexByte(j.name, '\\') >= 0 { // the same name in another spelling
		if err := json.Unmarshal([]byte(`"`+name+`"`), &name); err != nil {
			return err
		}
	}
	g := &j.groups[j.depth]
	if g.fields[name] {
		return fmt.Errorf("the field %.40q is there twice in a group", name)
	}
	if g.fields == nil {
		g.fields = map[string]bool{}
	}
	g.fields[name] = true
	return nil
}
