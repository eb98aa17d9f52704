package cms_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// TestAddTimestamp: the token is in, all else is as it was, and openssl
// believes both the signature and the token.
func TestAddTimestamp(t *testing.T) {
	data := []byte("document")
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.RSAPSS, cms.ECDSA} {
		p := pdftest.New(t, alg, crypto.SHA256, nil)
		tsa := newOpenSSL(t, authority(t, cms.RSAPKCS1), "signer_digest=sha256\ness_cert_id_alg=sha256\n")
		digest := sum(crypto.SHA256, data)
		der := p.CMS(t, digest)
		for n := 1; n <= 3; n++ {
			before, err := cms.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			imprint := sum(crypto.SHA512, before.SignatureValue())
			request, err := cms.TimestampRequest(crypto.SHA512, imprint, nil, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			token, err := cms.ParseTimestampResponse(tsa.answer(t, request))
			if err != nil {
				t.Fatal(err)
			}
			out, err := cms.AddTimestamp(der, token)
			if err != nil {
				t.Fatal(err)
			}
			if size := p.Builder(t).SizeWith(len(token)); n == 1 && (len(out) > size || len(out) < size-160) {
				t.Errorf("SizeWith says %d, got %d bytes", size, len(out))
			}
			after, err := cms.Parse(out)
			if err != nil {
				t.Fatal(err)
			}
			if err := after.Verify(digest); err != nil || len(after.Timestamps) != n || len(after.Unsigned) != n || !after.HasUnsigned ||
				!slices.ContainsFunc(after.Timestamps, func(b []byte) bool { return bytes.Equal(b, token) }) {
				t.Errorf("%v %+v", err, after)
			}
			// All that was there but lengths, and the attribute somewhere in it.
			had, has, added := leaves(der), leaves(out), leaves(attr(smime(14), token))
			at := bytes.Index(has, added)
			if at < 0 || !bytes.Equal(slices.Delete(has, at, at+len(added)), had) {
				t.Error("other bytes changed")
			}
			if der, err = cms.ToDER(out); err != nil || &der[0] != &out[0] {
				t.Errorf("not DER: %v", err)
			}
			if said, err := pdftest.Run(t, "openssl", "ts", "-verify", "-token_in", "-in", pdftest.Write(t, "token", token), "-digest", hex.EncodeToString(imprint), "-CAfile", tsa.dir+"/root.pem"); err != nil {
				t.Errorf("openssl ts: %v\n%s", err, said)
			}
			if said, err := pdftest.Run(t, "openssl", "cms", "-verify", "-inform", "DER", "-in", pdftest.Write(t, "cms", out), "-binary", "-content", pdftest.Write(t, "data", data), "-CAfile", pdftest.PEM(t, p.Root), "-purpose", "any", "-out", "/dev/null"); err != nil {
				t.Errorf("openssl cms: %v\n%s", err, said)
			}
		}
	}
}

// leaves returns the primitive elements of DER in a row, headers included.
func leaves(der []byte) (out []byte) {
	for in := cryptobyte.String(der); len(in) > 0; {
		var element, content cryptobyte.String
		var tag cbasn1.Tag
		if !in.ReadAnyASN1Element(&element, &tag) {
			panic("not DER")
		}
		whole := element
		if tag&0x20 == 0 {
			out = append(out, whole...)
		} else if element.ReadASN1(&content, tag) {
			out = append(out, leaves(content)...)
		}
	}
	return out
}

func TestAddTimestampRefuses(t *testing.T) {
	p, tsa := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil), authority(t, cms.ECDSA)
	der := p.CMS(t, make([]byte, 32))
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	good := token(t, tsa, sum(crypto.SHA256, sd.SignatureValue()))
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	indefinite := append(append([]byte{0x30, 0x80}, der[4:]...), 0, 0)
	long := append([]byte{0x30, 0x83, 0, der[2], der[3]}, der[4:]...)
	for name, c := range map[string]struct {
		der, token []byte
		want       error
	}{
		"over something else":   {der, token(t, tsa, make([]byte, 32)), cms.ErrDigest},
		"forged":                {der, forged, cms.ErrSignature},
		"no token":              {der, nil, cms.ErrMalformed},
		"a signature as token":  {der, der, cms.ErrMalformed},
		"nothing to stamp":      {nil, good, cms.ErrMalformed},
		"a token to be stamped": {good, good, cms.ErrMalformed},
		"indefinite length":     {indefinite, good, cms.ErrMalformed},
		"long length":           {long, good, cms.ErrMalformed},
	} {
		if out, err := cms.AddTimestamp(c.der, c.token); !errors.Is(err, c.want) || out != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	inBER := append(append([]byte{0x30, 0x80}, good[4:]...), 0, 0)
	a, err1 := cms.AddTimestamp(der, good)
	b, err2 := cms.AddTimestamp(der, inBER)
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("token in BER: %v %v", err1, err2)
	}
}

func TestSizeWith(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	b, err := cms.New(p.Signer, []*x509.Certificate{p.Issuer, p.Root, p.Issuer}, crypto.SHA256, cms.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{-1: false, 0: true, 6000: true, 60_000: true, cms.MaxSize + 1: false} {
		if got := b.SizeWith(n); (got >= b.Size()+n) != want || !want && got != 0 {
			t.Errorf("SizeWith(%d) = %d, Size %d", n, got, b.Size())
		}
	}
	tsa := authority(t, cms.RSAPKCS1)
	attrs, err := b.SignedAttributes(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p.Key.Sign(nil, sum(crypto.SHA256, attrs), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := b.Assemble(attrs, sig)
	if err != nil {
		t.Fatal(err)
	}
	stamp := token(t, tsa, sum(crypto.SHA256, sig))
	out, err := cms.AddTimestamp(der, stamp)
	if err != nil || len(out) > b.SizeWith(len(stamp)) {
		t.Errorf("%v: %d bytes, SizeWith %d", err, len(out), b.SizeWith(len(stamp)))
	}
	if sd, err := cms.Parse(out); err != nil || len(sd.Others) != 2 {
		t.Errorf("chain: %v %+v", err, sd)
	}
}

// TestFlippedBits changes every byte of a token and of a time-stamped
// signature: nothing panics, and nothing that is signed changes unnoticed.
func TestFlippedBits(t *testing.T) {
	p, tsa := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil), authority(t, cms.RSAPKCS1)
	digest := make([]byte, 32)
	der := timestamped(t, p, tsa, digest)
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	stamp, imprint := bytes.Clone(sd.Timestamps[0]), sum(crypto.SHA256, sd.SignatureValue())
	ts, err := cms.ParseTimestamp(stamp)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(name string, b []byte, parts [][]byte, accepted func([]byte) bool) {
		signed := make([]bool, len(b))
		for _, part := range parts {
			at := bytes.Index(b, part)
			if at < 0 {
				t.Fatalf("%s: part not found", name)
			}
			for i := range part {
				signed[at+i] = true
			}
		}
		if !accepted(b) {
			t.Fatalf("%s: not accepted as it is", name)
		}
		kept, covered := 0, 0
		for i := range b {
			if signed[i] {
				covered++
			}
			for _, mask := range []byte{1, 2, 0x20, 0x80, 0xFF} {
				b[i] ^= mask
				if accepted(b) {
					kept++
					if signed[i] {
						t.Errorf("%s: byte %d of %d ^ %#x accepted", name, i, len(b), mask)
					}
				}
				b[i] ^= mask
			}
		}
		t.Logf("%s: %d bytes, %d of them signed, %d changes; accepted: 0 of signed bytes, %d of others (certificates of the path)", name, len(b), covered, 5*len(b), kept)
	}
	token := func(b []byte) bool {
		ts, err := cms.ParseTimestamp(b)
		return err == nil && ts.Verify(imprint) == nil
	}
	flip("token", stamp, ts.SignedParts(), token)
	flip("time-stamped signature", der, append(sd.SignedParts(), ts.SignedParts()...), func(b []byte) bool {
		sd, err := cms.Parse(b)
		return err == nil && sd.Verify(digest) == nil && len(sd.Timestamps) == 1 && token(sd.Timestamps[0])
	})
}

// edit replaces the element number n, in the order of the bytes, by other
// bytes, and puts the lengths around it right.
func edit(der []byte, n *int, put []byte) (out []byte) {
	for in := cryptobyte.String(der); len(in) > 0; {
		var element, content cryptobyte.String
		var tag cbasn1.Tag
		if !in.ReadAnyASN1Element(&element, &tag) {
			panic("not DER")
		}
		whole := element
		*n--
		switch {
		case *n == -1:
			out = append(out, put...)
		case tag&0x20 != 0 && *n >= 0 && element.ReadASN1(&content, tag):
			out = append(out, wrap(byte(tag), edit(content, n, put))...)
		default:
			out = append(out, whole...)
		}
	}
	return out
}

// FuzzEdited puts something else in the place of an element of a time-stamped
// signature. Whatever is believed then, the key and the authority signed.
func FuzzEdited(f *testing.F) {
	p, tsa := pdftest.New(f, cms.RSAPKCS1, crypto.SHA256, nil), authority(f, cms.RSAPKCS1)
	digest := make([]byte, 32)
	der := timestamped(f, p, tsa, digest)
	sd, err := cms.Parse(der)
	if err != nil {
		f.Fatal(err)
	}
	imprint := sum(crypto.SHA256, sd.SignatureValue())
	first, err := cms.ParseTimestamp(sd.Timestamps[0])
	if err != nil {
		f.Fatal(err)
	}
	want := [][][]byte{sd.SignedParts(), first.SignedParts()}
	for n, put := range [][]byte{nil, {5, 0}, integer(3), octets(nil), seq(), set(), seq(oid(oidSHA1)), wrap(0xA0, seq(oid(oidSHA256))), p.Root.Raw, {0x24, 0x80, 0, 0}} {
		for i := range 12 {
			f.Add(uint16(n+10*i), put)
		}
	}
	f.Fuzz(func(t *testing.T, at uint16, put []byte) {
		n := int(at) % 400
		b := edit(der, &n, put)
		sd, err := cms.Parse(b)
		if err == nil {
			err = sd.Verify(digest)
		}
		if err != nil {
			return
		}
		same := func(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }
		if !same(sd.SignedParts(), want[0]) {
			t.Errorf("signature believed: %x", b)
		}
		for _, token := range sd.Timestamps {
			if ts, err := cms.ParseTimestamp(token); err == nil && ts.Verify(imprint) == nil && !same(ts.SignedParts(), want[1]) {
				t.Errorf("time-stamp believed: %x", b)
			}
		}
	})
}

func BenchmarkTimestamped(b *testing.B) {
	for _, alg := range []cms.Algorithm{cms.RSAPKCS1, cms.ECDSA} {
		p, tsa := pdftest.New(b, alg, crypto.SHA256, nil), authority(b, alg)
		digest := make([]byte, 32)
		der := timestamped(b, p, tsa, digest)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sd, err := cms.Parse(der)
				if err == nil {
					err = sd.Verify(digest)
				}
				if err != nil {
					b.Fatal(err)
				}
				ts, err := cms.ParseTimestamp(sd.Timestamps[0])
				if err == nil {
					err = ts.Verify(sum(ts.Hash, sd.SignatureValue()))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+", parsing", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sd, err := cms.Parse(der)
				if err == nil {
					_, err = cms.ParseTimestamp(sd.Timestamps[0])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
