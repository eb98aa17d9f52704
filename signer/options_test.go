package signer_test

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

func TestCanonicalIsPinned(t *testing.T) {
	o := signer.Options{Format: signer.PADES, Algorithm: signer.RSAPSS, Time: "2026-07-01T01:00:00Z", Certificate: "12345", PAdES: signer.PAdES{Level: "B-B", Reason: `Lulus <a> & "b" é 陳`, Location: "KL", Contact: "c", Field: "F1",
		Visible: &signer.Visible{Page: -1, X: 72, Y: 0.5, Width: 1e2, Height: 33.333}}}
	const want = `{"algorithm":"RSA-PSS","certificate":"12345","contact":"c","field":"F1","format":"PADES","level":"B-B","location":"KL","reason":"Lulus <a> & \"b\" é 陳",` +
		`"time":"2026-07-01T01:00:00Z","visible":{"height":33.333,"page":-1,"width":100,"x":72,"y":0.5}}`
	text, hash, err := o.Canonical()
	if err != nil || string(text) != want || hash != sha256.Sum256([]byte(want)) {
		t.Errorf("%s, %x, %v; want %s", text, hash, err, want)
	}
	o = signer.Options{Format: signer.RAW, Algorithm: signer.ECDSA, Time: "2026-07-01T01:00:00Z", Certificate: "1", Total: &otp.Total{Amount: "29911.35", Currency: "MYR"}}
	if text, _, err := o.Canonical(); err != nil || string(text) != `{"algorithm":"ECDSA","certificate":"1","format":"RAW","time":"2026-07-01T01:00:00Z","total":{"amount":"29911.35","currency":"MYR"}}` {
		t.Errorf("%s, %v", text, err)
	}
	// Without a total it is what it was before there were any: codes that live through an upgrade stay right.
	plain := signer.Options{Format: signer.RAW, Algorithm: signer.ECDSA, Time: "2026-07-01T01:00:00Z", Certificate: "1"}
	if text, _, err := plain.Canonical(); err != nil || string(text) != `{"algorithm":"ECDSA","certificate":"1","format":"RAW","time":"2026-07-01T01:00:00Z"}` {
		t.Errorf("%s, %v", text, err)
	}
}

// drawOptions draws options as the API lets them pass: text without control
// characters, points of a page.
func drawOptions(t *rapid.T) signer.Options {
	text := rapid.StringMatching(`[^\p{C}\x{2028}\x{2029}\x{FFFD}]{0,8}`)
	pades := rapid.Custom(func(t *rapid.T) signer.PAdES {
		p := signer.PAdES{Level: text.Draw(t, "level"), Reason: text.Draw(t, "reason"), Location: text.Draw(t, "location"), Contact: text.Draw(t, "contact"),
			Field: text.Draw(t, "field"), Certify: rapid.IntRange(0, 3).Draw(t, "certify")}
		if rapid.Bool().Draw(t, "visible") {
			n := rapid.Float64Range(0, 14400)
			p.Visible = &signer.Visible{Page: rapid.IntRange(-1, 9).Draw(t, "page"), X: n.Draw(t, "x"), Y: n.Draw(t, "y"), Width: n.Draw(t, "w"), Height: n.Draw(t, "h"),
				Anchor: text.Draw(t, "anchor"), Template: text.Draw(t, "template")}
		}
		return p
	})
	o := signer.Options{Format: text.Draw(t, "format"), Algorithm: text.Draw(t, "algorithm"), Time: text.Draw(t, "time"), Certificate: text.Draw(t, "certificate"), PAdES: pades.Draw(t, "pades")}
	if rapid.Bool().Draw(t, "own") {
		o.Each = rapid.MapOfN(rapid.Uint32(), pades, 1, 3).Draw(t, "each")
	}
	if rapid.Bool().Draw(t, "with total") {
		o.Total = &otp.Total{Amount: rapid.StringMatching(`[1-9][0-9]{0,3}\.[0-9]{2}`).Draw(t, "amount"), Currency: rapid.SampledFrom([]string{"MYR", "USD"}).Draw(t, "currency")}
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
	full := func() signer.Options {
		p := func() signer.PAdES { return signer.PAdES{Visible: &signer.Visible{}} }
		return signer.Options{PAdES: p(), Each: map[uint32]signer.PAdES{3: p()}, Total: &otp.Total{}, Payees: &otp.Payees{}, Work: &signer.Work{}}
	}
	base := full()
	_, was, err := base.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, o signer.Options) {
		if _, hash, err := o.Canonical(); err != nil || hash == was {
			t.Errorf("%s does not change the hash: %v", name, err)
		}
	}
	// vary sets each field below one in turn, through get, of options made anew.
	var vary func(name string, get func(*signer.Options) (reflect.Value, func()))
	vary = func(name string, get func(*signer.Options) (reflect.Value, func())) {
		o := full()
		v, done := get(&o)
		switch v.Kind() {
		case reflect.Struct:
			for k := range v.NumField() {
				vary(name+"."+v.Type().Field(k).Name, func(o *signer.Options) (reflect.Value, func()) {
					v, done := get(o)
					return v.Field(k), done
				})
			}
			return
		case reflect.Pointer:
			vary(name, func(o *signer.Options) (reflect.Value, func()) {
				v, done := get(o)
				return v.Elem(), done
			})
			v.SetZero()
		case reflect.Map:
			vary(name, func(o *signer.Options) (reflect.Value, func()) {
				own := o.Each[3]
				return reflect.ValueOf(&own).Elem(), func() { o.Each[3] = own }
			})
			v.SetZero()
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"x"}))
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int:
			v.SetInt(1)
		case reflect.Float64:
			v.SetFloat(1)
		default:
			t.Fatalf("a field of kind %v is new to this test", v.Kind())
		}
		done()
		check(name, o)
	}
	vary("Options", func(o *signer.Options) (reflect.Value, func()) { return reflect.ValueOf(o).Elem(), func() {} })
	// An index is part of it, too.
	moved := full()
	moved.Each = map[uint32]signer.PAdES{4: moved.Each[3]}
	check("index", moved)
}

func TestCanonicalRefusesWhatIsNoNumber(t *testing.T) {
	zero := 0.0
	o := signer.Options{PAdES: signer.PAdES{Visible: &signer.Visible{X: 1 / zero}}}
	if text, _, err := o.Canonical(); err == nil {
		t.Errorf("infinity became %s", text)
	}
}
