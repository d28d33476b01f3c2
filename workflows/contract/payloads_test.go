package contract_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
)

// style.md 9: one serialisable state struct is input and carried state. A field
// that did not come through would be forgotten at the next continue-as-new, or
// by an engine that is rebuilt from the store.
func TestEveryFieldThatIsCarriedComesBackAsItWas(t *testing.T) {
	for _, v := range carried() {
		t.Run(reflect.TypeOf(v).Name(), func(t *testing.T) {
			full := reflect.New(reflect.TypeOf(v))
			n := 0
			fill(t, full.Elem(), reflect.TypeOf(v).Name(), &n)
			dc := converter.GetDefaultDataConverter()

			payload, err := dc.ToPayload(full.Elem().Interface())
			require.NoError(t, err)
			back := reflect.New(reflect.TypeOf(v))
			require.NoError(t, dc.FromPayload(payload, back.Interface()))
			require.Equal(t, full.Interface(), back.Interface(), "through Temporal")

			text, err := json.Marshal(full.Interface())
			require.NoError(t, err)
			back = reflect.New(reflect.TypeOf(v))
			require.NoError(t, json.Unmarshal(text, back.Interface()))
			require.Equal(t, full.Interface(), back.Interface(), "through the store")
		})
	}
}

// fill sets every field to a value that is not its zero value, and to another
// one each: fields that were swapped would show.
func fill(t *testing.T, v reflect.Value, path string, n *int) {
	t.Helper()
	*n++
	if _, ok := v.Interface().(time.Time); ok {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 20, 8, 0, *n, 123456000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path, n)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			require.True(t, f.IsExported(), "%s.%s would not be carried", path, f.Name)
			fill(t, v.Field(i), path+"."+f.Name, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), path+"[0]", n)
		fill(t, v.Index(1), path+"[1]", n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, path+" key", n)
		fill(t, value, path+" value", n)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d", path, *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	default:
		t.Fatalf("%s is a %s: think of how it is carried", path, v.Kind())
	}
}
