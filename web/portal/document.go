package portal

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	signPath   = "/portal/sign"
	returnPath = "/portal/return"
)

func (d *desk) documentRoutes(r chi.Router) {
	r.Get(signPath, d.choose)
	r.Post(signPath, d.Upload(d.upload))
	r.Get(signPath+"/{id}", d.document)
	r.Post(signPath+"/{id}", d.Form(d.ask))
	r.Post(signPath+"/{id}/cancel", d.Form(d.cancel))
	r.Get(signPath+"/{id}/content", d.content)
	r.Get(returnPath, d.back)
}

// identifier is the form of what names things in the API.
var identifier = regexp.MustCompile(`^[a-z]{2}_[a-z0-9]{8,60}$`)

// paper is a document as the API describes it.
type paper struct {
	ID     string `json:"document_id"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Pages  int    `json:"pages"`
	Digest struct {
		Alg   string `json:"alg"`
		Value string `json:"value"`
	} `json:"digest"`
	Signatures []string `json:"signatures"`
	Findings   []struct {
		Code     string `json:"code"`
		Severity string `json:"severity"`
		Text     string `json:"text"`
	} `json:"findings"`
}

// Worst is the tone in which its findings are told, "" when there is nothing to heed.
func (p *paper) Worst() string {
	tone := ""
	for _, f := range p.Findings {
		switch {
		case f.Severity == "danger":
			return page.Bad
		case f.Severity == "warning":
			tone = page.Wait
		}
	}
	return tone
}

// pen is a key that the officer can sign with at the portal.
type pen struct {
	Credential, System, Name, Serial string
	Until                            time.Time
}

// pens are the officer's, for which codes can be had.
func (d *desk) pens(r *http.Request) ([]pen, error) {
	var held struct {
		Media []struct {
			Medium, Status, System string
			Credential             string `json:"credential_id"`
			Certificate            *struct {
				DER    string `json:"der"`
				Status string `json:"status"`
			} `json:"certificate"`
		} `json:"media"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/me/certificate", nil, &held); err != nil {
		return nil, err
	}
	var out []pen
	for _, m := range held.Media {
		if m.Medium != "ROAMING_OTP" || m.Status != "ACTIVE" || m.Certificate == nil || m.Certificate.Status != "ACTIVE" {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(m.Certificate.DER)
		if err != nil {
			return nil, err
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, pen{m.Credential, m.System, c.Subject.CommonName, c.SerialNumber.String(), c.NotAfter})
	}
	return out, nil
}

// choice is the form in which a file is chosen.
type choice struct {
	CanSign bool
	Locked  bool // the file that was chosen opens with a password
	Faults  page.Faults
}

func (d *desk) choose(w http.ResponseWriter, r *http.Request) {
	pens, err := d.pens(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, chooseFile(choice{CanSign: len(pens) > 0}))
}

// mostDrained is how much of a file that was refused is read to its end, in bytes: a browser that still
// sends does not read why.
const mostDrained = 256 << 20

// upload hands the file to the API while it arrives.
func (d *desk) upload(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	ctx := r.Context()
	c := choice{CanSign: true}
	again := func(status int, field, text string) {
		if u.File != nil {
			_, _ = io.CopyN(io.Discard, u.File, mostDrained) // whoever goes away meanwhile reads nothing either
		}
		c.Faults = page.Faults{{Field: field, Text: text}}
		d.Show(w, r, status, chooseFile(c))
	}
	if u.File == nil {
		again(http.StatusUnprocessableEntity, "file", page.T(ctx, "doc.file.none"))
		return
	}
	header := http.Header{"Content-Type": {"application/pdf"}}
	if password := u.Values.Get("password"); password != "" {
		u.Values.Del("password")
		if len(password) > 127 || strings.ContainsFunc(password, unicode.IsControl) {
			c.Locked = true
			again(http.StatusUnprocessableEntity, "password", page.T(ctx, "doc.password.wrong"))
			return
		}
		header.Set("X-PDF-Password", password)
	}
	a, err := d.Send(r, http.MethodPost, "/v1/documents?"+url.Values{"name": {cleanName(u.Name)}}.Encode(), header, u.File)
	var made paper
	if err == nil {
		err = a.Decode(&made)
	}
	switch p := page.Of(err); {
	case err == nil:
		page.See(w, r, signPath+"/"+made.ID)
	case p == nil || p.Status == http.StatusUnauthorized:
		d.Failed(w, r, err)
	default:
		if p.Code == "pdf_encrypted" {
			if c.Locked = true; header.Get("X-PDF-Password") != "" {
				again(p.Status, "password", page.T(ctx, "doc.password.wrong"))
				return
			}
		}
		again(p.Status, "file", refusal(ctx, p))
	}
}

// refusal says why a document is not taken, and what to do about it: in our words, where there are
// some, with the API's detail where that names the place.
func refusal(ctx context.Context, p *page.Problem) string {
	text := p.Title
	if id := "doc.refused." + p.Code; page.Has(ctx, id) {
		text = page.T(ctx, "doc.refused."+p.Code)
	}
	if p.Detail != "" && p.Code != "pdf_invalid" && p.Code != "pdf_encrypted" {
		text = strings.TrimSuffix(text, ".") + " (" + strings.TrimSuffix(p.Detail, ".") + ")."
	}
	return text
}

// cleanName makes of the name that a browser gives one that is shown as it is: without folders, and
// without letters that nobody sees or that turn others round.
func cleanName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsGraphic(c) || c == utf8.RuneError:
			return -1
		}
		return c
	}, name)
	name = strings.Join(strings.Fields(name), " ")
	if !strings.HasSuffix(strings.ToLower(name), ".pdf") {
		name += ".pdf"
	}
	const most = 120 // characters: what is longer can be read nowhere
	if letters := []rune(name); len(letters) > most {
		name = string(letters[:most-8]) + "….pdf"
	}
	return name
}

// paper reads a document; false: it was answered.
func (d *desk) paper(w http.ResponseWriter, r *http.Request) (p paper, ok bool) {
	id := page.Param(r, "id")
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return p, false
	}
	err := d.Call(r, http.MethodGet, "/v1/documents/"+id, nil, &p)
	if x := page.Of(err); x != nil && x.Status == http.StatusNotFound {
		d.Show(w, r, http.StatusNotFound, documentGone())
		return p, false
	}
	if err != nil {
		d.Failed(w, r, err)
		return p, false
	}
	return p, true
}

func (d *desk) content(w http.ResponseWriter, r *http.Request) {
	id, version := page.Param(r, "id"), "original"
	if r.URL.Query().Get("version") == "signed" {
		version = "signed"
	}
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return
	}
	d.Relay(w, r, "/v1/documents/"+id+"/content?version="+version)
}

// returns are the states with which the portal asks for signatures.
var returns = regexp.MustCompile(`^(doc|batch):([a-z]{2}_[a-z0-9]{8,60})$`)

// back leads on to what was signed, or not. What the address says is believed for nothing but the way:
// a page of ours, which asks the API what became of it.
func (d *desk) back(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	tx, query := q.Get("transaction_id"), ""
	if identifier.MatchString(tx) {
		query = "?" + url.Values{"transaction": {tx}}.Encode()
	}
	m := returns.FindStringSubmatch(q.Get("state"))
	switch {
	case m != nil && m[1] == "doc":
		page.See(w, r, signPath+"/"+m[2]+query)
	case m != nil:
		page.See(w, r, "/portal/batches/"+m[2])
	case query != "":
		page.See(w, r, historyPath+"/"+tx)
	default:
		page.See(w, r, "/portal")
	}
}
