package apps

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// credential is one of what an app proves itself with.
type credential struct {
	ID     string `json:"credential_id"`
	Kind   string `json:"kind"`
	Awaits bool   `json:"awaits_confirmation"`
	made
	CreatedAt time.Time       `json:"created_at"`
	ExpiresAt *time.Time      `json:"expires_at"`
	RevokedAt *time.Time      `json:"revoked_at"`
	LastUsed  string          `json:"last_used"`
	Replaces  string          `json:"replaces"`
	OldUntil  *time.Time      `json:"old_until"`
	JWKS      json.RawMessage `json:"jwks"`
	SHA256    string          `json:"sha256"`
	Subject   string          `json:"subject"`
}

// kinds are those that can be made, what keeps the secret with the app first.
var kinds = []string{"private_key_jwt", "client_secret", "api_key", "basic", "certificate"}

// State of a credential: "revoked", "expired", "awaits", "leaving" (its end is near) or "live".
func (c *credential) state(now time.Time) string {
	switch {
	case c.RevokedAt != nil:
		return "revoked"
	case c.ExpiresAt != nil && !now.Before(*c.ExpiresAt):
		return "expired"
	case c.Awaits:
		return "awaits"
	case c.ExpiresAt != nil && c.ExpiresAt.Sub(now) < 30*24*time.Hour:
		return "leaving"
	}
	return "live"
}

func (c *credential) ended(now time.Time) bool {
	s := c.state(now)
	return s == "revoked" || s == "expired"
}

func (c *credential) tone(now time.Time) string {
	return map[string]string{"live": page.Good, "leaving": page.Wait, "awaits": page.Wait}[c.state(now)]
}

// keys are the ids of a JWK set's keys.
func (c *credential) keys() string {
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	_ = json.Unmarshal(c.JWKS, &set) // the API has checked it
	ids := make([]string, len(set.Keys))
	for k, x := range set.Keys {
		ids[k] = x.ID
	}
	return strings.Join(ids, ", ")
}

func (a *app) inForce(now time.Time) (live, ended []credential) {
	for _, c := range a.Credentials {
		if c.ended(now) {
			ended = append(ended, c)
		} else {
			live = append(live, c)
		}
	}
	slices.Reverse(live)
	slices.Reverse(ended)
	return live, ended
}

// of finds a credential that has not ended, or nil.
func (a *app) of(id string, now time.Time) *credential {
	for k := range a.Credentials {
		if c := &a.Credentials[k]; c.ID == id && !c.ended(now) {
			return c
		}
	}
	return nil
}

// doors of a credential.
func (a *app) rotatePath(c *credential) string {
	return a.path() + "/credentials/new?" + url.Values{"kind": {c.Kind}, "replaces": {c.ID}}.Encode()
}

func (a *app) kindPath(kind string) string {
	return a.path() + "/credentials/new?" + url.Values{"kind": {kind}}.Encode()
}

func (a *app) credentialPath(c *credential, what string) string {
	return a.path() + "/credentials/" + url.PathEscape(c.ID) + "/" + what
}

// adding is the form for another credential.
type adding struct {
	App         *app
	Kind        string
	Old         *credential // that it takes the place of
	Overlap     string      // days that the old one goes on
	Expires     string      // a date, or ""
	JWKS        string
	Certificate string // PEM, or SHA-256 in hexadecimal
	Subject     string
	Faults      page.Faults
}

func (x *adding) again(f page.Faults) templ.Component {
	x.Faults = f
	return addForm(x)
}

// overlaps are the days that can be chosen.
var overlaps = []string{"1", "7", "30", "90"}

// begun is the form that an address asks for; false: no such app, or no such kind yet.
func (d *desk) begun(w http.ResponseWriter, r *http.Request, v url.Values) (*adding, bool) {
	a, ok := d.find(w, r)
	if !ok {
		return nil, false
	}
	x := &adding{App: a, Kind: v.Get("kind"), Overlap: "7"}
	if old := v.Get("replaces"); old != "" {
		if x.Old = a.of(old, d.Now()); x.Old == nil || x.Old.Awaits {
			page.See(w, r, a.path())
			return nil, false
		}
		x.Kind = x.Old.Kind
	}
	if !slices.Contains(kinds, x.Kind) {
		d.Show(w, r, http.StatusOK, chooseKind(a))
		return nil, false
	}
	return x, true
}

func (d *desk) newCredential(w http.ResponseWriter, r *http.Request) {
	if x, ok := d.begun(w, r, r.URL.Query()); ok {
		d.Show(w, r, http.StatusOK, addForm(x))
	}
}

// newKey is what the API is asked for.
type newKey struct {
	Kind      string          `json:"kind"`
	ExpiresAt *time.Time      `json:"expires_at,omitempty"`
	Replaces  string          `json:"replaces,omitempty"`
	OldUntil  *time.Time      `json:"old_until,omitempty"`
	JWKS      json.RawMessage `json:"jwks,omitempty"`
	SHA256    string          `json:"sha256,omitempty"`
	Subject   string          `json:"subject,omitempty"`
}

// asks reads the form; what is wrong with it are its faults.
func (x *adding) asks(ctx context.Context, now time.Time) *newKey {
	n := &newKey{Kind: x.Kind}
	no := func(field, id string) {
		x.Faults = append(x.Faults, page.Fault{Field: field, Text: page.T(ctx, id)})
	}
	if x.Expires != "" {
		t, err := day(x.Expires)
		if err != nil {
			no("expires", "apps.expires.wrong")
		}
		t = t.Add(24 * time.Hour) // to the end of that day
		n.ExpiresAt = &t
	}
	if x.Old != nil {
		days, err := strconv.Atoi(x.Overlap)
		if err != nil || !slices.Contains(overlaps, x.Overlap) {
			no("overlap", "apps.overlap.wrong")
		}
		// A minute less than the most, for the form takes its time.
		until := now.Add(time.Duration(days)*24*time.Hour - time.Minute)
		n.Replaces, n.OldUntil = x.Old.ID, &until
	}
	switch x.Kind {
	case "private_key_jwt":
		if n.JWKS = json.RawMessage(strings.TrimSpace(x.JWKS)); !json.Valid(n.JWKS) {
			no("jwks", "apps.jwks.wrong")
		}
	case "certificate":
		if x.Subject = strings.TrimSpace(x.Subject); x.Subject != "" && strings.TrimSpace(x.Certificate) == "" {
			n.Subject = x.Subject
			break
		}
		var ok bool
		if n.SHA256, ok = thumbprint(x.Certificate); !ok || x.Subject != "" {
			no("certificate", "apps.certificate.wrong")
		}
	}
	return n
}

// thumbprint is the SHA-256 of a certificate as PEM, or the one that is given in hexadecimal.
func thumbprint(text string) (string, bool) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", false
		}
		sum := sha256.Sum256(c.Raw)
		return hex.EncodeToString(sum[:]), true
	}
	text = strings.ToLower(strings.NewReplacer(":", "", " ", "", "\n", "", "\r", "").Replace(text))
	b, err := hex.DecodeString(text)
	return text, err == nil && len(b) == sha256.Size
}

// issued is a credential just made, with its secret for this once.
type issued struct {
	App        *app
	Credential credential `json:"credential"`
	Secret     string     `json:"secret"`
}

// addCredential answers with the secret itself: it is in this page and nowhere else. Who loads the
// page again, or comes back to it, gets the app's.
func (d *desk) addCredential(w http.ResponseWriter, r *http.Request) {
	v := r.PostForm
	x, ok := d.begun(w, r, v)
	if !ok {
		return
	}
	x.Overlap, x.Expires, x.JWKS, x.Certificate, x.Subject = v.Get("overlap"), strings.TrimSpace(v.Get("expires")), v.Get("jwks"), v.Get("certificate"), v.Get("subject")
	page.Returning(r, x.path())
	n := x.asks(r.Context(), d.Now())
	if x.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, addForm(x))
		return
	}
	out := &issued{App: x.App}
	if err := d.Call(r, http.MethodPost, apiOf(x.App.ID)+"/credentials", n, out); err != nil {
		d.Refused(w, r, err, map[string]string{"jwks": "jwks", "sha256": "certificate", "certificate": "certificate", "expires_at": "expires", "until": "overlap"}, x.again)
		return
	}
	if out.Secret == "" {
		said := "apps.said.credential"
		if out.Credential.Awaits {
			said = "apps.said.credential-awaits"
		}
		d.Say(w, said)
		page.See(w, r, x.App.path())
		return
	}
	page.Returning(r, x.App.path())
	d.Show(w, r, http.StatusOK, shownOnce(out))
}

// path is the form's address.
func (x *adding) path() string {
	if x.Old != nil {
		return x.App.rotatePath(x.Old)
	}
	return x.App.kindPath(x.Kind)
}

// held reads the credential of the address, too; one that has ended leads to the app.
func (d *desk) held(w http.ResponseWriter, r *http.Request, what string) (*asked, bool) {
	a, ok := d.find(w, r)
	if !ok {
		return nil, false
	}
	x := &asked{App: a, Of: a.of(page.Param(r, "credential"), d.Now()), What: what}
	if x.Of == nil {
		page.See(w, r, a.path())
		return nil, false
	}
	return x, true
}

func (d *desk) revoking(w http.ResponseWriter, r *http.Request) {
	if x, ok := d.held(w, r, "revoke"); ok {
		d.Show(w, r, http.StatusOK, aboutCredential(x))
	}
}

func (d *desk) revoke(w http.ResponseWriter, r *http.Request) {
	x, ok := d.held(w, r, "revoke")
	if !ok {
		return
	}
	if err := d.Call(r, http.MethodDelete, apiOf(x.App.ID)+"/credentials/"+url.PathEscape(x.Of.ID), nil, nil); err != nil {
		d.Refused(w, r, err, nil, x.again(aboutCredential))
		return
	}
	d.Say(w, "apps.said.revoked")
	page.See(w, r, x.App.path())
}

func (d *desk) confirmingCredential(w http.ResponseWriter, r *http.Request) {
	if x, ok := d.held(w, r, "confirm"); ok {
		d.Show(w, r, http.StatusOK, aboutCredential(x))
	}
}

func (d *desk) confirmCredential(w http.ResponseWriter, r *http.Request) {
	x, ok := d.held(w, r, "confirm")
	if !ok {
		return
	}
	if err := d.Call(r, http.MethodPost, apiOf(x.App.ID)+"/credentials/"+url.PathEscape(x.Of.ID)+"/confirm", nil, nil); err != nil {
		d.Refused(w, r, err, nil, x.again(aboutCredential))
		return
	}
	d.Say(w, "apps.said.credential-confirmed")
	page.See(w, r, x.App.path())
}

// secretive says whether a kind has a secret that is shown once.
func secretive(kind string) bool { return kind != "private_key_jwt" && kind != "certificate" }

func (x *adding) title(ctx context.Context) string {
	if x.Old != nil {
		return page.T(ctx, "apps.rotate.do")
	}
	return page.T(ctx, "apps.add."+x.Kind)
}

// waits says whether what is made awaits a second person, as the API decides it.
func (x *adding) waits(ctx context.Context) bool { return !central(ctx) || x.App.powerful() }

func credentialHeads(ctx context.Context) []page.Head {
	return []page.Head{{Text: page.T(ctx, "apps.kind")}, {Text: page.T(ctx, "apps.state")}, {Text: page.T(ctx, "apps.made")}, {Text: page.T(ctx, "apps.used")}, {Text: page.T(ctx, "apps.do")}}
}

func overlapOptions(ctx context.Context) []page.Option {
	out := make([]page.Option, len(overlaps))
	for k, days := range overlaps {
		out[k] = page.Option{Value: days, Text: page.T(ctx, "apps.overlap."+days)}
	}
	return out
}

// lastOf says whether nothing of the app works any more without a credential.
func (a *app) lastOf(c *credential, now time.Time) bool {
	for k := range a.Credentials {
		x := &a.Credentials[k]
		if x.ID != c.ID && x.Kind != "certificate" && !x.Awaits && !x.ended(now) {
			return false
		}
	}
	return !c.Awaits && c.Kind != "certificate" && a.State == "ACTIVE"
}
