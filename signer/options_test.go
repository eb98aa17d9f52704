package signer_test

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/signer"
)

func TestCanonicalIsPinned(t *testing.T) {
	o := signer.Options{Format: signer.PADES, Algorithm: signer.RSAPSS, Level: "B-B", Time: "2026-07-01T01:00:00Z", Certificate: "12345", Reason: `Lulus <a> & "b" é 陳`, Location: "KL", Contact: "c", Field: "F1",
		Visible: &signer.Visible{Page: -1, X: 72, Y: 0.5, Width: 1e2, Height: 33.333}}
	const want = `{"algorithm":"RSA-PSS","certificate":"12345","contact":"c","field":"F1","format":"PADES","level":"B-B","location":"KL","reason":"Lulus <a> & \"b\" é 陳",` +
		`"time":"2026-07-01T01:00:00Z","visible":{"height":33.333,"page":-1,"width":100,"x":72,"y":0.5}}`
	text, hash, err := o.Canonical()
	if err != nil || string(text) != want || hash != sha256.Sum256([]byte(want)) {
		t.Errorf("%s, %x, %v; want %s", text, hash, err, want)
	}
	plain := signer.Options{Format: signer.RAW, Algorithm: signer.ECDSA, Time: "2026-07-01T01:00:00Z", Certificate: "1"}
	if text, _, err := plain.Canonical(); err != nil || string(text) != `{"algorithm":"ECDSA","certificate":"1","format":"RAW","time":"2026-07-01T01:00:00Z"}` {
		t.Errorf("%s, %v", text, err)
	}
}

// drawOptions draws options as the API lets them pass: text without control
// characters, points of a page.
func drawOptions(t *rapid.T) signer.Options {
	text := rapid.StringMatching(`[^\p{C}\x{2028}\x{2029}\x{FFFD}]{0,8}`)
	o := signer.Options{Format: text.Draw(t, "format"), Algorithm: text.Draw(t, "algorithm"), Level: text.Draw(t, "level"), Time: text.Draw(t, "time"), Certificate: text.Draw(t, "certificate"),
		Reason: text.Draw(t, "reason"), Location: text.Draw(t, "location"), Contact: text.Draw(t, "contact"), Field: text.Draw(t, "field")}
	if rapid.Bool().Draw(t, "visible") {
		n := rapid.Float64Range(0, 14400)
		o.Visible = &signer.Visible{Page: rapid.IntRange(-1, 9).Draw(t, "page"), X: n.Draw(t, "x"), Y: n.Draw(t, "y"), Width: n.Draw(t, "w"), Height: n.Draw(t, "h")}
	}
	return o
}

// The database keeps the options as JSON; what comes back has the same hash,
// and two options have one hash only when they are alike.
func TestCanonicalIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawOptions(t), drawOptions(t)
		text, hash, err := a.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range [][]byte{kept, text} {
			var back signer.Options
			if err := json.Unmarshal(stored, &back); err != nil {
				t.Fatal(err)
			}
			if again, h, err := back.Canonical(); err != nil || h != hash || string(again) != string(text) {
				t.Fatalf("%s became %s, %v", text, again, err)
			}
		}
		if _, other, err := b.Canonical(); err != nil || (other == hash) != reflect.DeepEqual(a, b) {
			t.Fatalf("%+v and %+v: %v", a, b, err)
		}
	})
}

// Every field of the options is in the hash: nothing shapes a signature that
// the officer's code is not bound to.
func TestCanonicalHoldsEveryField(t *testing.T) {
	base := signer.Options{Visible: &signer.Visible{}}
	_, was, err := base.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, o signer.Options) {
		if _, hash, err := o.Canonical(); err != nil || hash == was {
			t.Errorf("%s does not change the hash: %v", name, err)
		}
	}
	set := func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Int:
			v.SetInt(1)
		case reflect.Float64:
			v.SetFloat(1)
		case reflect.Pointer:
			v.SetZero()
		default:
			t.Fatalf("a field of kind %v is new to this test", v.Kind())
		}
	}
	for k := range reflect.TypeFor[signer.Options]().NumField() {
		o := signer.Options{Visible: &signer.Visible{}}
		set(reflect.ValueOf(&o).Elem().Field(k))
		check(reflect.TypeFor[signer.Options]().Field(k).Name, o)
	}
	for k := range reflect.TypeFor[signer.Visible]().NumField() {
		o := signer.Options{Visible: &signer.Visible{}}
		set(reflect.ValueOf(o.Visible).Elem().Field(k))
		check(reflect.TypeFor[signer.Visible]().Field(k).Name, o)
	}
}

func TestCanonicalRefusesWhatIsNoNumber(t *testing.T) {
	zero := 0.0
	o := signer.Options{Visible: &signer.Visible{X: 1 / zero}}
	if text, _, err := o.Canonical(); err == nil {
		t.Errorf("infinity became %s", text)
	}
}
