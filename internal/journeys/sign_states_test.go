//go:build !race

package journeys_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/signing"
)

// states is transactions in states that a gateway seldom has, each under a token of its name.
type states struct {
	now    func() time.Time
	looked *atomic.Int64 // at a batch being signed
}

const states22 = "AAAAAAAAAAAAAAAAAAAAAA" // what names are filled up with

func (s states) Page(_ context.Context, v signing.Visit, _ int) (signing.Page, error) {
	name := strings.TrimRight(string(v.Token.Reveal()), "A")
	if v.Session.Len() == 0 {
		return signing.Page{}, signing.ErrUnopened
	}
	now := s.now()
	p := signing.Page{Transaction: "tx_k3v0f0o8h1mgb4v9w2q7s5x6y4", Status: "WAITING", Owner: "KEMENTERIAN KEWANGAN\nJABATAN AKAUNTAN NEGARA MALAYSIA", System: "iGFMAS", Notice: signing.Notice{Token: true, System: "IGFMAS"},
		DataHeader: "110FGOM07022411247A29911.35240405888916", Classification: "terhad", Process: "AP-22 Arahan Bayaran Tanpa Pesanan Pembelian Kerajaan", Role: "Perakuan 1", Total: "RM 29,911.35", Count: 1,
		Payees: 12, FirstPayees: []string{"SYARIKAT PEMBINAAN DAN KEJURUTERAAN NEGERI SEMBILAN DARUL KHUSUS SDN. BHD.", "ALI BIN ABU"},
		Fingerprint: "7K3M-Q0ZV", Root: "cm9vdA==", Nonce: "bm9uY2U=", Tries: 3, SentTo: "s•••@jpk.gov.my", Next: -1, Picture: "wau",
		Documents: []signing.Document{{Index: 0, Name: "Baucar_Bayaran_Tanpa_Pesanan_Pembelian_Kerajaan_2026-04-001_muktamad.pdf", Alg: "SHA-256", Digest: "LUsq9prqLRm6heerwwCFRQisYDQzAgKukkb8egTE15w="}},
		CodeSent:  now, CodeUntil: now.Add(5 * time.Minute), ResendAfter: now.Add(time.Minute), ExpiresAt: now.Add(30 * time.Minute), Back: "https://igfmas.example/kembali"}
	switch name {
	case "waiting":
	case "blocked":
		p.Locked = true
	case "signing":
		p.Status, p.Count, p.Documents, p.Signed, p.Refused = "SIGNING", 1200, nil, 481, 2
	case "moving": // a hundred more each time, then the end
		p.Status, p.Count, p.Documents, p.Signed = "SIGNING", 400, nil, int(s.looked.Add(1))*100
		if p.Signed >= p.Count {
			p.Status, p.Signed = "SIGNED", p.Count
		}
	case "partly":
		p.Status, p.Count, p.Documents, p.Signed, p.Refused = "SIGNED_WITH_REFUSALS", 1200, nil, 1197, 3
	case "portal":
		p.Status, p.Portal, p.Back = "SIGNED", true, "/portal/return"
	case "needs":
		p.Status = "NEEDS_AUTHORISATION"
	case "failed":
		p.Status, p.Back = "FAILED", ""
	case "unwell":
		return p, errors.New("a database that is away")
	default:
		return p, nil
	}
	if slices.Contains([]string{"SIGNED", "SIGNED_WITH_REFUSALS"}, p.Status) {
		at := time.Date(2024, 4, 30, 4, 9, 54, 0, time.UTC)
		p.Information = &signing.Information{IC: "240405888916", Subject: "C=MY,CN=ROAMINGOTP018916,SURNAME=240405888916,SERIALNUMBER=240405888916", Serial: "119390287711591810755568754058244618043",
			NotBefore: at.AddDate(0, -3, 0), NotAfter: at.AddDate(2, -3, 0), SignedAt: at}
	}
	return p, nil
}

func (s states) Open(context.Context, signing.Visit, secret.Text) (secret.Text, time.Time, error) {
	return secret.New("sesi"), s.now().Add(time.Hour), nil
}
func (states) Stray(context.Context, signing.Visit) error  { return nil }
func (states) Resend(context.Context, signing.Visit) error { return nil }
func (states) Cancel(context.Context, signing.Visit) error { return nil }
func (states) Logo(context.Context, signing.Visit) (string, []byte, error) {
	return "", nil, signing.ErrUnknown
}

func (states) Document(context.Context, signing.Visit, int) (io.ReadCloser, int64, error) {
	return nil, 0, signing.ErrUnknown
}

// Confirm is refused with what the PIN names.
func (states) Confirm(_ context.Context, _ signing.Visit, c signing.Confirmation) error {
	code := string(c.PIN.Reveal())
	ms, en := map[string]string{"certificate_expired": "Sijil pegawai telah tamat tempoh.", "hsm_unavailable": "HSM tidak dapat dihubungi; cuba lagi.", "documents_mismatch": "Dokumen tidak sama dengan yang dipaparkan kepada pegawai."}[code], "As the API says."
	return &signing.Refusal{Status: 409, Code: code, MS: ms, EN: en, Left: -1}
}

// Every state of the signing page, as it looks.
func TestJourneySignStates(t *testing.T) {
	r := chi.NewRouter()
	page.AssetRoutes(r)
	signing.Routes(r, &page.Site{Title: "Jabatan Pembangunan Kemahiran", Log: slog.New(slog.DiscardHandler), Now: time.Now}, states{time.Now, new(atomic.Int64)})
	server := httptest.NewServer(http.Handler(r))
	defer server.Close()
	_, problems, err := play(t, "signstates", config{Given: given{"base": server.URL, "fill": states22}}, nil)
	for _, p := range problems {
		t.Error(p)
	}
	if err != nil {
		t.Error(err)
	}
}
