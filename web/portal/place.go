package portal

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/web/page"
)

// Where a visible signature stands.
const (
	onPage = "page" // in a box on a page
	atText = "text" // above a text
	unseen = "none"
)

// point is a millimetre in points.
const point = 72 / 25.4

// wish is the form that says how to sign, as it was filled in.
type wish struct {
	Where               string // onPage, atText, unseen
	Page                string // of the box; counts from 1
	X, Y, Width, Height string // millimetres from the lower left of the page as displayed
	Anchor, AnchorPage  string
	Template            string
	Reason, Location    string
	Level               string
	Credential          string
	Asked               string // the transaction that it takes the place of
	Faults              page.Faults
}

// usual is a box on the last page, at the lower left, and a signature that lasts.
func usual(p *paper, pens []pen) wish {
	w := wish{Where: onPage, Page: strconv.Itoa(p.Pages), X: "20", Y: "25", Width: "70", Height: "21", Template: "standard", Level: "B-LTA"}
	if len(pens) > 0 {
		w.Credential = pens[0].Credential
	}
	return w
}

func wishOf(f url.Values) wish {
	of := func(name string) string { return strings.TrimSpace(f.Get(name)) }
	return wish{Where: of("where"), Page: of("page"), X: of("x"), Y: of("y"), Width: of("width"), Height: of("height"), Anchor: of("anchor"), AnchorPage: of("anchor-page"),
		Template: of("template"), Reason: of("reason"), Location: of("location"), Level: of("level"), Credential: of("credential"), Asked: of("asked")}
}

type visible struct {
	Page     int     `json:"page,omitempty"`
	X        float64 `json:"x,omitempty"`
	Y        float64 `json:"y,omitempty"`
	Width    float64 `json:"width,omitempty"`
	Height   float64 `json:"height,omitempty"`
	Anchor   string  `json:"anchor,omitempty"`
	Template string  `json:"template,omitempty"`
}

type pades struct {
	Level    string   `json:"level"`
	Reason   string   `json:"reason,omitempty"`
	Location string   `json:"location,omitempty"`
	Visible  *visible `json:"visible,omitempty"`
}

// pades is what the wish asks of the API; what cannot be asked stands in its faults.
func (w *wish) pades(r *http.Request, p *paper) pades {
	out := pades{Level: w.Level, Reason: w.Reason, Location: w.Location}
	fault := func(field, text string) { w.Faults = append(w.Faults, page.Fault{Field: field, Text: text}) }
	ctx := r.Context()
	whole := func(field, text string) int {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > p.Pages {
			fault(field, page.T(ctx, "doc.page.wrong", "Pages", p.Pages))
		}
		return n
	}
	length := func(field, text string, least float64) float64 {
		n, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
		if err != nil || math.IsNaN(n) || n < least || n > 5000 {
			fault(field, page.T(ctx, "doc.length.wrong", "Least", least, "Field", page.T(ctx, "doc."+field)))
			return 0
		}
		return math.Round(n*point*1000) / 1000
	}
	switch w.Where {
	case unseen:
	case atText:
		v := &visible{Anchor: w.Anchor, Template: w.Template}
		if w.Anchor == "" {
			fault("anchor", page.T(ctx, "doc.anchor.none"))
		}
		if w.AnchorPage != "" {
			v.Page = whole("anchor-page", w.AnchorPage)
		}
		out.Visible = v
	case onPage:
		out.Visible = &visible{Page: whole("page", w.Page), X: length("x", w.X, 0), Y: length("y", w.Y, 0),
			Width: length("width", w.Width, 10), Height: length("height", w.Height, 5), Template: w.Template}
	default:
		fault("where", page.T(ctx, "doc.where.none"))
	}
	return out
}

// standing is what became of a document so far.
type standing struct {
	Signed bool
	Asked  *asked // the transaction that the page is about; nil: none is known
	Resume string // where PIN and code are given for it; "" where this browser does not know
}

// asked is a transaction of the portal.
type asked struct {
	ID          string    `json:"transaction_id"`
	Status      string    `json:"status"`
	ExpiresAt   time.Time `json:"expires_at"`
	Fingerprint string    `json:"fingerprint"`
	SigningURL  string    `json:"signing_url"`
	Documents   []struct {
		ID string `json:"id"`
	} `json:"documents"`
	Signatures []struct {
		DocumentID string `json:"document_id"`
		Level      string `json:"level"`
		Code       string `json:"code"`
		Detail     string `json:"detail"`
	} `json:"signatures"`
	Information *information `json:"signature_information"`
}

// information is the SIGNATURE INFORMATION of a transaction.
type information struct {
	IC        string     `json:"ic"`
	Subject   string     `json:"subject"`
	Issuer    string     `json:"issuer"`
	Serial    string     `json:"serial_number"`
	NotBefore time.Time  `json:"not_before"`
	NotAfter  time.Time  `json:"not_after"`
	SignedAt  time.Time  `json:"signed_at"`
	Timestamp *time.Time `json:"timestamp"`
}

// about says whether the transaction is about the document. One that ended unsigned does not say.
func (a *asked) about(id string) bool {
	for _, x := range a.Documents {
		if x.ID != id {
			return false
		}
	}
	for _, x := range a.Signatures {
		if x.DocumentID != id {
			return false
		}
	}
	return true
}

// askedCookie names what was asked for last in this browser, with the address of its page: whoever
// comes back before the end goes on where it was.
const askedCookie = "asked"

// remembered is what the browser asked for last: transaction, document and the page's address.
func (d *desk) remembered(r *http.Request) (tx, document, path string) {
	parts := strings.Split(d.CookieValue(r, askedCookie), "|")
	if len(parts) != 3 || !identifier.MatchString(parts[0]) || !identifier.MatchString(parts[1]) || !strings.HasPrefix(parts[2], "/sign/") || strings.ContainsAny(parts[2], "\\?#") {
		return "", "", ""
	}
	return parts[0], parts[1], parts[2]
}

func (d *desk) remember(w http.ResponseWriter, a *asked, document, path string) {
	http.SetCookie(w, d.Cookie(askedCookie, a.ID+"|"+document+"|"+path, max(1, int(a.ExpiresAt.Sub(d.Now()).Seconds()))))
}

// standing finds what became of a document: by the transaction that the address names, else by the
// one that this browser asked for last.
func (d *desk) standing(r *http.Request, id string) (s standing, err error) {
	tx := r.URL.Query().Get("transaction")
	last, document, path := d.remembered(r)
	if tx == "" && document == id {
		tx = last
	}
	if identifier.MatchString(tx) {
		a := &asked{}
		err := d.Call(r, http.MethodGet, "/v1/transactions/"+tx, nil, a)
		if p := page.Of(err); err != nil && (p == nil || p.Status != http.StatusNotFound) {
			return s, err
		}
		if err == nil && a.about(id) {
			if s.Asked = a; last == tx {
				s.Resume = path
			}
		}
	}
	a, err := d.Ask(r, http.MethodHead, "/v1/documents/"+id+"/content?version=signed", "", nil)
	if err != nil {
		return s, err
	}
	if a.Status != http.StatusOK && a.Status != http.StatusConflict {
		return s, a.Decode(nil)
	}
	s.Signed = a.Status == http.StatusOK
	return s, nil
}

func (d *desk) document(w http.ResponseWriter, r *http.Request) {
	p, ok := d.paper(w, r)
	if !ok {
		return
	}
	s, err := d.standing(r, p.ID)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	if s.Signed {
		if s.Asked != nil && s.Asked.Information == nil {
			s.Asked = nil // another one, which ended unsigned
		}
		d.Show(w, r, http.StatusOK, signed(&p, &s))
		return
	}
	if p.Refusal != nil {
		d.Show(w, r, http.StatusOK, refusedPaper(&p))
		return
	}
	d.showForm(w, r, http.StatusOK, &p, &s, nil)
}

// showForm shows how a document can be signed; f is what was filled in, nil for the usual.
func (d *desk) showForm(w http.ResponseWriter, r *http.Request, status int, p *paper, s *standing, f *wish) {
	pens, err := d.pens(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	var looks struct {
		Templates []look `json:"templates"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/templates", nil, &looks); err != nil {
		d.Failed(w, r, err)
		return
	}
	if f == nil {
		f = new(wish)
		*f = usual(p, pens)
	}
	if s.Asked != nil && s.Asked.Status == "WAITING" {
		f.Asked = s.Asked.ID
	}
	d.Show(w, r, status, place(p, s, f, pens, looks.Templates))
}

// look is a template of visible signatures.
type look struct {
	Name  string `json:"name"`
	Style string `json:"style"`
	Lines []struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	} `json:"lines"`
	Image bool `json:"image"`
	QR    bool `json:"qr"`
}

// drawn is what the preview of a box is made of, as JSON.
func drawn(looks []look, pens []pen, now string) string {
	type person struct{ Name, Serial string }
	people := map[string]person{}
	for _, x := range pens {
		people[x.Credential] = person{x.Name, grouped(x.Serial)}
	}
	b, err := json.Marshal(map[string]any{"looks": looks, "pens": people, "time": now})
	if err != nil {
		return "{}" // strings and booleans can be encoded
	}
	return string(b)
}

// grouped sets a space after every four digits, as the appearance does.
func grouped(digits string) string {
	var b strings.Builder
	for k, c := range digits {
		if k > 0 && k%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// ask makes the transaction, and leads to the page where PIN and code are given.
func (d *desk) ask(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, r.URL.Path)
	p, ok := d.paper(w, r)
	if !ok {
		return
	}
	s, err := d.standing(r, p.ID)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	if s.Signed || p.Refusal != nil { // in another tab, or before somebody went back
		page.See(w, r, signPath+"/"+p.ID)
		return
	}
	f := wishOf(r.PostForm)
	opts := f.pades(r, &p)
	pens, err := d.pens(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	system := ""
	for _, x := range pens {
		if x.Credential == f.Credential {
			system = x.System
		}
	}
	if system == "" {
		f.Faults = append(f.Faults, page.Fault{Field: "credential", Text: page.T(r.Context(), "doc.credential.none")})
	}
	if len(f.Faults) > 0 {
		d.showForm(w, r, http.StatusUnprocessableEntity, &p, &standing{}, &f)
		return
	}
	if identifier.MatchString(f.Asked) { // what it takes the place of is no longer waited for
		_ = d.Call(r, http.MethodDelete, "/v1/transactions/"+f.Asked, nil, nil) // it may have ended by itself
	}
	var made asked
	// Made whole even if the browser goes meanwhile: half made, nothing would end what it had begun.
	err = d.Call(r.WithContext(context.WithoutCancel(r.Context())), http.MethodPost, "/v1/transactions", map[string]any{"system": system, "credential_id": f.Credential, "format": "PADES", "documents": []any{map[string]string{"document_id": p.ID}},
		"pades": opts, "redirect_uri": d.Return, "state": "doc:" + p.ID}, &made)
	if x := page.Of(err); x != nil && x.Status != http.StatusUnauthorized {
		f.Faults = placed(r, &f, x)
		d.showForm(w, r, x.Status, &p, &standing{}, &f)
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	u, err := url.Parse(made.SigningURL)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.remember(w, &made, p.ID, u.EscapedPath())
	d.Sign(w, r, made.SigningURL)
}

// placed gives what the API refused to the fields of the form.
func placed(r *http.Request, f *wish, x *page.Problem) page.Faults {
	places := map[string]string{"anchor_not_found": "anchor", "template_changed": "template", "pades.visible.template": "template", "pades.visible.anchor": "anchor", "pades.visible.page": "page",
		"pades.visible.x": "x", "pades.visible.y": "y", "pades.visible.width": "width", "pades.visible.height": "height", "pades.reason": "reason", "pades.location": "location", "pades.level": "level",
		"credential_id": "credential", "system": "credential"}
	if f.Where == onPage { // what cannot be drawn there
		places["invalid_request"] = "x"
	}
	if strings.HasPrefix(x.Field, "documents[0]") { // the document is the only one: the code says more
		x.Field = ""
	}
	switch id := "doc.refused." + x.Code; {
	case page.Has(r.Context(), id):
		x.Detail = unsignable(r.Context(), x)
	case x.Detail != "" && x.Code == "invalid_request":
		first, n := utf8.DecodeRuneInString(x.Detail)
		x.Detail = string(unicode.ToUpper(first)) + x.Detail[n:]
	case x.Detail != "":
		x.Detail = strings.TrimSuffix(x.Title, ".") + ": " + x.Detail
	}
	return page.FaultsOf(r.Context(), x, places)
}

// cancel ends what waits for PIN and code. What has ended already is told by the page.
func (d *desk) cancel(w http.ResponseWriter, r *http.Request) {
	id, tx := page.Param(r, "id"), r.PostForm.Get("transaction")
	if !identifier.MatchString(id) || !identifier.MatchString(tx) {
		d.NotFound(w, r)
		return
	}
	err := d.Call(r, http.MethodDelete, "/v1/transactions/"+tx, nil, nil)
	if x := page.Of(err); err != nil && (x == nil || x.Status == http.StatusUnauthorized || x.Status >= 500) {
		d.Failed(w, r, err)
		return
	}
	page.See(w, r, signPath+"/"+id+"?transaction="+tx)
}
