package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key: a field of [Config] and what its tags say.
type field struct {
	index         int
	key           string
	def, min, max string
	enum          []string
	secret        bool
}

// fieldsOf lists the keys of a configuration struct, in its order.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		f := field{
			index: i, key: tag.Get("key"),
			def: tag.Get("default"), min: tag.Get("min"), max: tag.Get("max"),
			secret: tag.Get("secret") == "true",
		}
		if enum := tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		fields = append(fields, f)
	}
	return fields
}

// env is the name of the environment variable that sets the key.
func (f field) env() string { return "MAYFLY_" + strings.ToUpper(f.key) }

// flag is the name of the flag that sets the key.
func (f field) flag() string { return strings.ReplaceAll(f.key, "_", "-") }

// parse sets v to what text says and checks the bounds. It leaves v alone when
// it fails.
func (f field) parse(v reflect.Value, text string) error {
	fresh := reflect.New(v.Type()).Elem()
	if err := decode(fresh, text); err != nil {
		return err
	}
	if err := f.check(fresh, text); err != nil {
		return err
	}
	v.Set(fresh)
	return nil
}

func (f field) check(v reflect.Value, text string) error {
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return fmt.Errorf("%q is not known: use %s", text, strings.Join(f.enum, ", "))
	}
	for _, bound := range []struct {
		limit, word string
		sign        int64
	}{{f.min, "less", -1}, {f.max, "more", 1}} {
		if bound.limit == "" {
			continue
		}
		limit := reflect.New(v.Type()).Elem()
		if err := decode(limit, bound.limit); err != nil {
			return err
		}
		if (number(v)-number(limit))*bound.sign > 0 {
			return fmt.Errorf("%s is %s than %s", text, bound.word, bound.limit)
		}
	}
	return nil
}

// decode reads one value of a type that [Config] uses.
func decode(v reflect.Value, text string) error {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := parseDuration(text)
		*p = d
		return err
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *string:
		if strings.TrimSpace(text) == "" {
			return errors.New("the value is empty: leave the key out to use its default")
		}
		*p = text
		return nil
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		*p = n
		return nil
	default:
		return fmt.Errorf("a field of type %s has no way to be read", v.Type())
	}
}

// number orders the values of the types that have bounds.
func number(v reflect.Value) int64 {
	if m, ok := reflect.TypeAssert[Memory](v); ok {
		return m.Bytes
	}
	return v.Int()
}

// encode writes a value as decode reads it.
func encode(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case fmt.Stringer:
		return x.String()
	default:
		return fmt.Sprint(x)
	}
}

// parseDuration is [time.ParseDuration] with a leading number of days, as in 7d
// or 1d12h.
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write for example 500ms, 30s, 5m, 12h or 7d", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, bad
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" && found {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 {
		return 0, bad
	}
	return d + more, nil
}

// formatDuration writes whole days as 7d and leaves out zero minutes and seconds.
func formatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
