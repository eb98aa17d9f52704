package syntax_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

const metadata = "<x:xmpmeta>metadata</x:xmpmeta>"

// secrets is a document with strings, a stream and metadata to look for.
func secrets() []byte {
	return pdftest.Document(pdftest.Shape{
		Catalog: "/Metadata 1000 0 R/X[(rahsia) <FF00> () <</Deep (dalam)>>]",
		Extra: map[int]string{
			1000: fmt.Sprintf("<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n%s\nendstream", len(metadata), metadata),
		}})
}

// encryptions are the ways qpdf encrypts: arguments behind the passwords.
var encryptions = map[string][]string{
	"RC4-40":             {"40"},
	"RC4-128":            {"128", "--use-aes=n"},
	"RC4-128-V4":         {"128", "--use-aes=n", "--force-V4"},
	"AES-128":            {"128", "--use-aes=y"},
	"AES-128-cleartext":  {"128", "--use-aes=y", "--cleartext-metadata"},
	"AES-256-R5":         {"256", "--force-R5"},
	"AES-256":            {"256"},
	"AES-256-cleartext":  {"256", "--cleartext-metadata"},
	"AES-256-R5-clear":   {"256", "--force-R5", "--cleartext-metadata"},
	"RC4-128-V4-clear":   {"128", "--use-aes=n", "--force-V4", "--cleartext-metadata"},
	"AES-256-no-changes": {"256", "--modify=none"},
}

func encrypted(t testing.TB, document []byte, user, owner string, args []string, more ...string) []byte {
	t.Helper()
	all := append([]string{"--allow-weak-crypto", "--encrypt", user, owner}, args...)
	return qpdf(t, document, append(append(all, "--"), more...)...)
}

func unlock(b []byte, password string) (*syntax.File, error) {
	return syntax.OpenWith(bytes.NewReader(b), int64(len(b)), syntax.Options{Password: []byte(password)})
}

// readSecrets finds in the file what secrets put there.
func readSecrets(t *testing.T, f *syntax.File) {
	t.Helper()
	tree, err := f.Tree()
	if err != nil {
		t.Fatal(err)
	}
	x := tree.Catalog.Value.Key("X").Array
	if len(x) != 4 || string(x[0].Bytes) != "rahsia" || string(x[1].Bytes) != "\xff\x00" || len(x[2].Bytes) != 0 ||
		string(x[3].Key("Deep").Bytes) != "dalam" {
		t.Errorf("strings: %+v", x)
	}
	page, err := f.Load(tree.Pages[0].Num, tree.Pages[0].Gen)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[*syntax.Object]string{page: "BT /F0 24 Tf 72 700 Td (Halaman 1) Tj ET", tree.Catalog: metadata} {
		name := "Contents"
		if key == tree.Catalog {
			name = "Metadata"
		}
		o, err := f.Resolve(key.Value.Key(name))
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Stream(o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := io.ReadAll(r); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

func TestEncryptedFilesOpen(t *testing.T) {
	for name, args := range encryptions {
		for _, objects := range []string{"disable", "generate"} {
			t.Run(name+"/"+objects, func(t *testing.T) {
				open := encrypted(t, secrets(), "", "pemilik", args, "--object-streams="+objects)
				f, err := unlock(open, "")
				if err != nil {
					t.Fatal(err)
				}
				if !f.Encrypted() || f.Permissions().Owner {
					t.Errorf("encrypted %v, owner %v", f.Encrypted(), f.Permissions().Owner)
				}
				if may := f.Permissions().MaySign(true) == nil; may != (name != "AES-256-no-changes") {
					t.Errorf("new field permitted: %v", may)
				}
				readSecrets(t, f)
				if f, err = unlock(open, "pemilik"); err != nil || !f.Permissions().Owner || f.Permissions().MaySign(true) != nil {
					t.Fatalf("owner: %v", err)
				}
				readSecrets(t, f)
				if f, err = unlock(open, "no such password"); err != nil || f.Permissions().Owner {
					t.Errorf("password that is not needed: %v", err)
				}
				closed := encrypted(t, secrets(), "kata laluan yang panjang", "pemilik", args, "--object-streams="+objects)
				for password, want := range map[string]string{"": "password needed", "salah": "wrong password", "kata laluan yang panjang": "", "pemilik": ""} {
					f, err := unlock(closed, password)
					if want != "" && (!errors.Is(err, syntax.ErrEncrypted) || !strings.Contains(err.Error(), want)) || want == "" && err != nil {
						t.Errorf("password %q: %v", password, err)
					}
					if err == nil {
						readSecrets(t, f)
						if old, err := f.At(f.Sections()[0].End); err != nil {
							t.Errorf("the same as a revision: %v", err)
						} else {
							readSecrets(t, old)
						}
					}
				}
			})
		}
	}
}

func TestPermissionBits(t *testing.T) {
	for _, c := range []struct {
		bits              []string
		field, fill, note bool
	}{
		{[]string{"128", "--use-aes=y", "--modify=all"}, true, true, true},
		{[]string{"128", "--use-aes=y", "--modify=annotate"}, false, true, true},
		{[]string{"128", "--use-aes=y", "--modify=form"}, false, true, false},
		{[]string{"128", "--use-aes=y", "--modify=none"}, false, false, false},
		{[]string{"40", "--annotate=n"}, false, false, false},
		{[]string{"40", "--modify=n"}, false, true, true},
	} {
		f, err := unlock(encrypted(t, secrets(), "", "o", c.bits), "")
		if err != nil {
			t.Fatal(err)
		}
		p := f.Permissions()
		if p.MaySign(true) == nil != c.field || p.MaySign(false) == nil != c.fill || p.MayFillForms() != c.fill || p.MayAnnotate() != c.note {
			t.Errorf("%v: %+v", c.bits, p)
		}
		if err := p.MaySign(true); err != nil && !errors.Is(err, syntax.ErrEncrypted) {
			t.Errorf("%v: %v", c.bits, err)
		}
	}
}

// TestPasswordsBeyondASCII: one byte a character up to revision 4, UTF-8 from 5.
func TestPasswordsBeyondASCII(t *testing.T) {
	for name, password := range map[string]string{"AES-128": "p\xe4ssw\xf6rd", "AES-256": "pässwörd"} {
		b := encrypted(t, secrets(), password, "o", encryptions[name], "--password-mode=bytes")
		if _, err := unlock(b, "pässwörd"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := strings.Repeat("x", 127) // what counts of a longer one
	if _, err := unlock(encrypted(t, secrets(), long, "o", []string{"256"}), long+"more"); err != nil {
		t.Errorf("password of 131 bytes: %v", err)
	}
}

func TestDamagedEncryption(t *testing.T) {
	good := map[string][]byte{}
	for _, name := range []string{"RC4-128", "AES-128", "AES-256"} {
		good[name] = encrypted(t, secrets(), "", "o", encryptions[name], "--object-streams=disable")
	}
	for name, c := range map[string]struct {
		kind, old, new string
		want           error
	}{
		"public key":         {"AES-128", "/Filter /Standard", "/Filter /Adobe.PubSec", syntax.ErrEncrypted},
		"unknown version":    {"AES-128", "/V 4", "/V 7", syntax.ErrEncrypted},
		"unknown revision":   {"AES-256", "/R 6", "/R 9", syntax.ErrEncrypted},
		"revision of others": {"RC4-128", "/R 3", "/R 6", syntax.ErrEncrypted},
		"unknown filter":     {"AES-128", "/StmF /StdCF", "/StmF /Other", syntax.ErrEncrypted},
		"unknown method":     {"AES-128", "/CFM /AESV2", "/CFM /AESV9", syntax.ErrEncrypted},
		"permissions":        {"AES-256", "/P -4", "/P -8", syntax.ErrInvalid},
		"other permissions":  {"AES-128", "/P -4", "/P -8", syntax.ErrEncrypted}, // another key
		"huge permissions":   {"AES-128", "/P -4", "/P 99999999999", syntax.ErrInvalid},
		"key length":         {"RC4-128", "/Length 128 /O", "/Length 129 /O", syntax.ErrInvalid},
		"no O":               {"AES-128", "/O <", "/o <", syntax.ErrInvalid},
		"no UE":              {"AES-256", "/UE <", "/ue <", syntax.ErrInvalid},
		"no Perms":           {"AES-256", "/Perms <", "/perms <", syntax.ErrInvalid},
		"no ID":              {"AES-128", "/ID [", "/Id [", syntax.ErrEncrypted}, // another key
		"ID elsewhere":       {"AES-128", "/ID [", "/ID 1 0 R /Id [", syntax.ErrInvalid},
		"not a dictionary":   {"AES-128", "/Encrypt ", "/Encrypt 1 % ", syntax.ErrInvalid},
	} {
		text := bytes.ReplaceAll(good[c.kind], []byte(c.old), []byte(c.new))
		if bytes.Equal(text, good[c.kind]) {
			t.Fatalf("%s changes nothing:\n%s", name, text)
		}
		// The encryption dictionary is the last object.
		at := bytes.LastIndex(text, []byte("startxref\n"))
		text = fmt.Appendf(text[:at:at], "startxref\n%d\n%%%%EOF\n", bytes.LastIndex(text, []byte("xref\n0 ")))
		if _, err := unlock(text, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
