package audit_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
)

// export is one of the records whose numbers are wanted, each run to the next of heads.
func export(t *testing.T, records []audit.Record, heads []audit.Head, wanted ...int64) []byte {
	t.Helper()
	var b bytes.Buffer
	x, err := audit.NewExporter(&b, audit.ExportHeader{At: start, By: "account:ac_1", Filter: map[string]string{"officer": "900101145678"}})
	if err != nil {
		t.Fatal(err)
	}
	running := false
	for k := range records {
		r := &records[k]
		shown := slices.Contains(wanted, r.Seq)
		if running = running || shown; !running {
			continue
		}
		if err := x.Record(r, shown); err != nil {
			t.Fatal(err)
		}
		for _, h := range heads {
			if h.Seq == r.Seq {
				if err := x.Head(h); err != nil {
					t.Fatal(err)
				}
				running = false
			}
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExportIsChecked(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	records := chain(40)
	var heads []audit.Head
	for _, n := range []int{9, 20, 40} {
		h, err := audit.SignHead(key, records[n-1].Seq, records[n-1].Hash, start)
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, h)
	}
	raw := export(t, records, heads, 3, 5, 12)
	var got []int64
	rep, err := audit.CheckExport(bytes.NewReader(raw), &key.PublicKey, heads, func(r audit.Record) error {
		got = append(got, r.Seq)
		return nil
	})
	if err != nil || !slices.Equal(got, []int64{3, 5, 12}) || rep.Records != 3 || rep.Runs != 2 || rep.Others != 13 || rep.Compared != 2 || rep.Filter["officer"] != "900101145678" {
		t.Fatalf("%v %+v, %v", got, rep, err)
	}
	// What is hidden says nothing; records of earlier versions cannot be hidden, and are whole.
	for seq, there := range map[string]bool{`"tx_2"`: true, `"tx_3"`: false, `"tx_7"`: false, `"tx_5"`: true} {
		if bytes.Contains(raw, []byte(seq)) != there {
			t.Errorf("%s is there: %v", seq, !there)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.CheckExport(bytes.NewReader(raw), &other.PublicKey, nil, nil); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("another seal: %v", err)
	}
	wrong := slices.Clone(heads)
	wrong[1].Hash[0] ^= 1
	if _, err := audit.CheckExport(bytes.NewReader(raw), &key.PublicKey, wrong, nil); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("a copy of the heads that says otherwise: %v", err)
	}
	// Any line lost, twice, or with one letter changed is found.
	lines := strings.SplitAfter(strings.TrimSuffix(string(raw), "\n"), "\n")
	bad := func(what string, lines ...string) {
		t.Helper()
		_, err := audit.CheckExport(strings.NewReader(strings.Join(lines, "")), &key.PublicKey, nil, nil)
		if !errors.Is(err, audit.ErrBroken) && !errors.Is(err, audit.ErrExport) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for k := range lines {
		bad("without line "+lines[k], slices.Concat(lines[:k], lines[k+1:])...)
		bad("twice "+lines[k], slices.Concat(lines[:k+1], lines[k:])...)
		for at, c := range lines[k] {
			// The header is what the exporter says of itself; before "=" base64 has bits that it does not use.
			if k == 0 || c < '0' || c > '9' || lines[k][at+1] == '=' {
				continue
			}
			digit := string('0' + (c-'0'+1)%10)
			bad(lines[k][:at]+"["+digit+"]", slices.Concat(lines[:k], []string{lines[k][:at] + digit + lines[k][at+1:]}, lines[k+1:])...)
		}
	}
	bad("nothing")
	if empty := export(t, records, heads); len(empty) == 0 {
		t.Error("an export of nothing is nothing")
	} else if rep, err := audit.CheckExport(bytes.NewReader(empty), &key.PublicKey, nil, nil); err != nil || rep.Records != 0 {
		t.Errorf("of nothing: %+v, %v", rep, err)
	}
}

// An export that tells of a broken chain is not believed as a whole; what it says of each record is:
// who stands behind the break is proved, who stands before it is not, whatever the exporter writes.
func TestExportOfABrokenChain(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	records := chain(20)
	head, err := audit.SignHead(key, 20, records[19].Hash, start)
	if err != nil {
		t.Fatal(err)
	}
	write := func(broken func(x *audit.Exporter) error, second int) []byte {
		var b bytes.Buffer
		x, err := audit.NewExporter(&b, audit.ExportHeader{At: start})
		if err != nil {
			t.Fatal(err)
		}
		steps := []func() error{
			func() error { return x.Record(&records[2], true) },
			func() error { return x.Record(&records[3], false) },
			func() error { return broken(x) },
		}
		for k := second; k < 20; k++ {
			steps = append(steps, func() error { return x.Record(&records[k], k == second || k == 15) })
		}
		steps = append(steps, func() error { return x.Head(head) }, x.Close)
		for _, do := range steps {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	at := &audit.BrokenError{Seq: 5, What: "it does not open\x1b[2J", Kind: audit.Sealed}
	raw := write(func(x *audit.Exporter) error { return x.Broken(at, true) }, 5)
	var broken *audit.BrokenError
	rep, err := audit.CheckExport(bytes.NewReader(raw), &key.PublicKey, []audit.Head{head}, nil)
	if !errors.As(err, &broken) || broken.Seq != 5 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep.Records != 2 || rep.Runs != 1 || rep.Compared != 1 || !slices.Equal(rep.Unproved, []int64{3}) || !slices.Equal(rep.Breaks, []audit.Break{{Seq: 5, What: "it does not open\uFFFD[2J", Asked: true}}) {
		t.Errorf("%+v", rep)
	}
	// The same without saying that it is broken, and what is edited behind the break.
	for what, raw := range map[string][]byte{
		"unsaid": write(func(*audit.Exporter) error { return nil }, 5),
		"edited": bytes.Replace(raw, []byte(`"object":"tx_15"`), []byte(`"object":"tx_99"`), 1),
		"moved":  bytes.Replace(raw, []byte(`"broken":{"seq":5`), []byte(`"broken":{"seq":1`), 1),
	} {
		rep, err := audit.CheckExport(bytes.NewReader(raw), &key.PublicKey, nil, nil)
		if !errors.Is(err, audit.ErrBroken) || rep.Records != 0 {
			t.Errorf("%s: %+v, %v", what, rep, err)
		}
	}
}
