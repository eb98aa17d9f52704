package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/enrol"
)

// commonLook is the name of what all certificates share; the other templates are named by level.
const commonLook = "umum"

// maxLookBody is a crest in base64, and the words.
const maxLookBody = 2 << 20

type lookVersionBody struct {
	Number    int64      `json:"version"`
	Template  string     `json:"template" doc:"Which was edited"`
	State     string     `json:"state" enum:"PROPOSED,CURRENT,PAST,REJECTED"`
	Reason    string     `json:"reason"`
	By        string     `json:"proposed_by" doc:"account: and an id; somebody else confirms"`
	Own       bool       `json:"own" doc:"Proposed by whoever asks"`
	At        time.Time  `json:"proposed_at"`
	DecidedBy string     `json:"decided_by,omitempty"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
}

type lookNameBody struct {
	Name    string `json:"name" example:"skm-1"`
	Level   string `json:"level,omitempty" example:"SKM 1"`
	MS      string `json:"ms" doc:"Its heading in Malay"`
	EN      string `json:"en" doc:"Its heading in English"`
	Changed bool   `json:"changed" doc:"It differs from the configuration"`
}

type looksOutput struct {
	Body struct {
		Version   int64             `json:"version" doc:"In force for batches opened from now on; 0 is the configuration"`
		Templates []lookNameBody    `json:"templates"`
		Versions  []lookVersionBody `json:"versions" doc:"The newest 50, what awaits confirmation among them"`
	}
}

type lookTextBody struct {
	Key          string `json:"key" example:"certify"`
	MS           string `json:"ms"`
	EN           string `json:"en"`
	ConfiguredMS string `json:"configured_ms" doc:"As the configuration has it"`
	ConfiguredEN string `json:"configured_en"`
}

type lookPlaceBody struct {
	Layout      string  `json:"layout" example:"certificate"`
	Element     string  `json:"element" enum:"seal,photo,signature,qr"`
	X           float64 `json:"x" doc:"Of the lower left corner, in points from the left edge" example:"82"`
	Y           float64 `json:"y" doc:"In points from the lower edge" example:"128"`
	Width       float64 `json:"width,omitempty" doc:"It does not change"`
	Height      float64 `json:"height,omitempty"`
	ConfiguredX float64 `json:"configured_x,omitempty"`
	ConfiguredY float64 `json:"configured_y,omitempty"`
}

type lookBody struct {
	Name    string          `json:"name"`
	Level   string          `json:"level,omitempty"`
	Version int64           `json:"version"`
	Texts   []lookTextBody  `json:"texts"`
	Places  []lookPlaceBody `json:"places" doc:"Of umum alone"`
	Crest   string          `json:"crest,omitempty" doc:"SHA-256 of the picture in the place of the drawn seal, of umum alone; none: the seal"`
}

type lookOutput struct{ Body lookBody }

// LookPath names a template in a path.
type LookPath struct {
	Name string `path:"name" maxLength:"20" doc:"umum: what all certificates share; a level otherwise: skm-1 … vtm"`
}

type lookInput struct {
	LookPath
	Version int64 `query:"version" default:"-1" minimum:"-1" doc:"-1: the one in force"`
}

// LookDraft is what is to become of a template; exported to be embedded. What is not given stays.
type LookDraft struct {
	Texts     []LookDraftText  `json:"texts,omitempty" maxItems:"200" nullable:"false"`
	Places    []LookDraftPlace `json:"places,omitempty" maxItems:"40" nullable:"false"`
	Crest     string           `json:"crest,omitempty" maxLength:"1500000" doc:"Base64 of PNG or JPEG, at most 1 MiB"`
	DropCrest bool             `json:"drop_crest,omitempty" doc:"The drawn seal again"`
}

// LookDraftText is a text of a draft.
type LookDraftText struct {
	Key string `json:"key" maxLength:"60"`
	MS  string `json:"ms" maxLength:"400"`
	EN  string `json:"en" maxLength:"400"`
}

// LookDraftPlace is a place of a draft.
type LookDraftPlace struct {
	Layout  string  `json:"layout" maxLength:"60" example:"certificate"`
	Element string  `json:"element" enum:"seal,photo,signature,qr"`
	X       float64 `json:"x"`
	Y       float64 `json:"y"`
}

// LookSample chooses what a preview shows; exported to be embedded.
type LookSample struct {
	Language string `json:"language,omitempty" enum:"ms,en" default:"ms"`
	Level    string `json:"level,omitempty" enum:"SKM 1,SKM 2,SKM 3,DKM,DLKM,PC,VTO,VTE,VTM" doc:"Of umum: which certificate to show; SKM 1 when it is not given"`
	Long     bool   `json:"long,omitempty" doc:"The longest names that lists bring"`
	Units    bool   `json:"units,omitempty" doc:"With Competency Units"`
	Photo    bool   `json:"photo,omitempty" doc:"With a photo"`
	Format   string `json:"format,omitempty" enum:"pdf,png" default:"png"`
	Page     int    `json:"page,omitempty" minimum:"1" maximum:"2" default:"1" doc:"Of png: the page"`
}

type previewLookInput struct {
	LookPath
	Body struct {
		LookDraft
		LookSample
		Version int64 `json:"version,omitempty" default:"-1" minimum:"-1" doc:"What the draft changes; -1: the version in force"`
	}
}

type proposeLookInput struct {
	LookPath
	Body struct {
		LookDraft
		Version int64  `json:"version" minimum:"0" doc:"That was in force when the form was shown: another one since is a conflict"`
		Reason  string `json:"reason" maxLength:"200" doc:"5 to 200 characters; it stands in the audit"`
	}
}

type lookVersionOutput struct{ Body lookVersionBody }

// VersionPath names a version in a path.
type VersionPath struct {
	Version int64 `path:"version" minimum:"1"`
}

type lookChangeBody struct {
	Field string `json:"field" example:"umum.texts.ms.certify"`
	Was   string `json:"was"`
	Is    string `json:"is"`
}

type versionOutput struct {
	Body struct {
		LookVersionBody
		Changes []lookChangeBody `json:"changes" doc:"Against the version it was made from"`
	}
}

// LookVersionBody is lookVersionBody, to be embedded.
type LookVersionBody = lookVersionBody

type rejectLookInput struct {
	VersionPath
	Body struct {
		Reason string `json:"reason" maxLength:"200" doc:"5 to 200 characters; it stands in the audit"`
	}
}

func (s *server) looks(h huma.API) {
	const tag, at, versions = "Administration", "/v1/admin/ecert-templates", "/v1/admin/ecert-versions"
	huma.Register(h, administer(tag, "ecertTemplates", http.MethodGet, at, "How eCertificates look: templates and their versions (JDN, SAP, AUDITOR)"), s.listLooks)
	huma.Register(h, administer(tag, "ecertTemplate", http.MethodGet, at+"/{name}", "What can be changed of a template, as it is and as it was configured (JDN, SAP, AUDITOR)"), s.showLook)
	preview := binary(administer(tag, "previewEcertTemplate", http.MethodPost, at+"/{name}/preview", "A made-up certificate from a draft; nothing is stored (JDN, SAP, AUDITOR)", http.StatusNotImplemented), "image/png", "The page; application/pdf for format=pdf")
	preview.Responses["200"].Content["application/pdf"] = preview.Responses["200"].Content["image/png"]
	preview = unkept(preview)
	preview.MaxBodyBytes = maxLookBody
	huma.Register(h, preview, s.previewLook)
	propose := administer(tag, "proposeEcertTemplate", http.MethodPost, at+"/{name}/proposals", "Propose a version, which awaits another JDN (JDN)")
	propose.DefaultStatus, propose.MaxBodyBytes = http.StatusCreated, maxLookBody
	huma.Register(h, propose, s.proposeLook)
	huma.Register(h, administer(tag, "ecertVersion", http.MethodGet, versions+"/{version}", "A version with what it changes (JDN, SAP, AUDITOR)"), s.showVersion)
	huma.Register(h, administer(tag, "confirmEcertVersion", http.MethodPost, versions+"/{version}/confirm", "Put a version into force for batches opened from now on: another JDN than proposed it"), s.confirmLook)
	huma.Register(h, administer(tag, "rejectEcertVersion", http.MethodPost, versions+"/{version}/reject", "End a proposal, also one's own (JDN)"), s.rejectLook)
}

// lookNames are umum and a name for each level.
func lookNames() []string {
	out := []string{commonLook}
	for _, l := range ecert.Levels() {
		out = append(out, strings.ToLower(strings.ReplaceAll(string(l), " ", "-")))
	}
	return out
}

// levelOf is the level of a template's name; "" of umum, which is common to all.
func levelOf(name string) (l ecert.Level, ok bool) {
	k := slices.Index(lookNames(), name)
	if k <= 0 {
		return "", k == 0
	}
	return ecert.Levels()[k-1], true
}

func versionOut(ctx context.Context, l *enrol.Look) lookVersionBody {
	return lookVersionBody{l.Number, l.Template, l.State, l.Reason, l.By, l.By == personOf(ctx).Actor.Name, l.At, l.Decider, when(l.Decided)}
}

// lookAt gives a version and what it changes; -1 is the one in force.
func (s *server) lookAt(ctx context.Context, version int64) (int64, ecert.Look, error) {
	var err error
	if version < 0 {
		if version, err = s.Batches.Looks.CurrentLook(ctx); err != nil {
			return 0, ecert.Look{}, err
		}
	}
	l, err := s.Batches.LookOf(ctx, version)
	return version, l, err
}

func (s *server) listLooks(ctx context.Context, _ *struct{}) (*looksOutput, error) {
	list, err := s.Works.Looks(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	version, look, err := s.lookAt(ctx, -1)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	r, err := s.Batches.Draws(ctx, version)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &looksOutput{}
	out.Body.Version, out.Body.Templates, out.Body.Versions = version, []lookNameBody{}, []lookVersionBody{}
	for _, name := range lookNames() {
		level, _ := levelOf(name)
		b := lookNameBody{Name: name, Level: string(level)}
		if level == "" {
			b.MS, b.EN = r.Templates().Words(ecert.Malay)["author"], r.Templates().Words(ecert.English)["author"]
			b.Changed = len(look.Texts)+len(look.Places)+len(look.Crest) > 0
		} else {
			b.MS, b.EN = r.Templates().Own(ecert.Malay, level)["heading"], r.Templates().Own(ecert.English, level)["heading"]
			b.Changed = len(look.Levels[ecert.Malay][level])+len(look.Levels[ecert.English][level]) > 0
		}
		out.Body.Templates = append(out.Body.Templates, b)
	}
	for k := range list {
		out.Body.Versions = append(out.Body.Versions, versionOut(ctx, &list[k]))
	}
	return out, nil
}

// textsOf are the texts of a template, by key.
func textsOf(t *ecert.Templates, level ecert.Level) map[ecert.Language]map[string]string {
	out := map[ecert.Language]map[string]string{}
	for _, in := range []ecert.Language{ecert.Malay, ecert.English} {
		if level == "" {
			out[in] = t.Words(in)
		} else {
			out[in] = t.Own(in, level)
		}
	}
	return out
}

func (s *server) showLook(ctx context.Context, in *lookInput) (*lookOutput, error) {
	level, ok := levelOf(in.Name)
	if err := s.Works.SeeLooks(ctx, personOf(ctx).Actor, "ecert-template:"+in.Name); err != nil || !ok {
		return nil, s.fail(ctx, orElse(err, errNotFound))
	}
	version, look, err := s.lookAt(ctx, in.Version)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	r, err := s.Batches.Draws(ctx, version)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b := lookBody{Name: in.Name, Level: string(level), Version: version, Texts: []lookTextBody{}, Places: []lookPlaceBody{}}
	base := s.Batches.Renderer.Templates()
	now, was := textsOf(r.Templates(), level), textsOf(base, level)
	for _, key := range slices.Sorted(maps.Keys(was[ecert.Malay])) {
		b.Texts = append(b.Texts, lookTextBody{key, now[ecert.Malay][key], now[ecert.English][key], was[ecert.Malay][key], was[ecert.English][key]})
	}
	if level == "" {
		for _, layout := range base.LayoutNames() {
			old, boxes := base.Boxes(layout), r.Templates().Boxes(layout)
			for _, kind := range ecert.MovableKinds() {
				if p, ok := boxes[kind]; ok {
					b.Places = append(b.Places, lookPlaceBody{layout, kind, tenth(p.X), tenth(p.Y), tenth(p.Width), tenth(p.Height), tenth(old[kind].X), tenth(old[kind].Y)})
				}
			}
		}
		if len(look.Crest) > 0 {
			b.Crest = sum256(look.Crest)
		}
	}
	return &lookOutput{b}, nil
}

// sum256 is SHA-256 in hexadecimal.
func sum256(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// tenth rounds to tenths of a point.
func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// draft applies a draft to what a version changes. Whatever is as the configuration has it is left
// out, so that a version says what differs and no more.
func (s *server) draft(level ecert.Level, l ecert.Look, d *LookDraft) (ecert.Look, error) {
	base := s.Batches.Renderer.Templates()
	raw, err := json.Marshal(l) // a copy: maps would be shared
	n := ecert.Look{}
	if err = errors.Join(err, json.Unmarshal(raw, &n)); err != nil {
		return n, fmt.Errorf("copying a look: %w", err)
	}
	was := textsOf(base, level)
	for _, in := range []ecert.Language{ecert.Malay, ecert.English} {
		own := n.Texts[in]
		if level != "" {
			own = n.Levels[in][level]
		}
		own = maps.Clone(own)
		if own == nil {
			own = map[string]string{}
		}
		for _, t := range d.Texts {
			old, known := was[in][t.Key]
			if !known {
				return n, fixed("texts", "There is no such text.", "Tiada teks sedemikian.")
			}
			if v := pick(in == ecert.English, t.EN, t.MS); v == old {
				delete(own, t.Key)
			} else {
				own[t.Key] = v
			}
		}
		setTexts(&n, in, level, own)
	}
	if level != "" {
		return n, nil
	}
	for _, p := range d.Places {
		box, known := base.Boxes(p.Layout)[p.Element]
		if !known {
			return n, fixed("places", "There is no such element.", "Tiada unsur sedemikian.")
		}
		if n.Places == nil {
			n.Places = map[string]map[string]ecert.Place{}
		}
		if n.Places[p.Layout] == nil {
			n.Places[p.Layout] = map[string]ecert.Place{}
		}
		if delete(n.Places[p.Layout], p.Element); tenth(p.X) != tenth(box.X) || tenth(p.Y) != tenth(box.Y) {
			n.Places[p.Layout][p.Element] = ecert.Place{X: p.X, Y: p.Y}
		}
		if len(n.Places[p.Layout]) == 0 {
			delete(n.Places, p.Layout)
		}
	}
	if d.DropCrest {
		n.Crest = nil
	}
	if d.Crest != "" {
		if n.Crest, err = base64.StdEncoding.DecodeString(d.Crest); err != nil {
			return n, fixed("crest", "It must be base64.", "Ia mesti base64.")
		}
	}
	return n, nil
}

// setTexts puts the texts of a template into a look, nothing where there are none.
func setTexts(n *ecert.Look, in ecert.Language, level ecert.Level, own map[string]string) {
	if level == "" {
		if n.Texts == nil {
			n.Texts = map[ecert.Language]map[string]string{}
		}
		if n.Texts[in] = own; len(own) == 0 {
			delete(n.Texts, in)
		}
		return
	}
	if n.Levels == nil {
		n.Levels = map[ecert.Language]map[ecert.Level]map[string]string{}
	}
	if n.Levels[in] == nil {
		n.Levels[in] = map[ecert.Level]map[string]string{}
	}
	if n.Levels[in][level] = own; len(own) == 0 {
		delete(n.Levels[in], level)
	}
	if len(n.Levels[in]) == 0 {
		delete(n.Levels, in)
	}
}

// orElse is err, or what is wrong without one.
func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// drawDraft makes what draws a draft of a template.
func (s *server) drawDraft(ctx context.Context, name string, version int64, d *LookDraft) (int64, ecert.Look, *ecert.Renderer, error) {
	level, ok := levelOf(name)
	if !ok {
		return 0, ecert.Look{}, nil, errNotFound
	}
	at, look, err := s.lookAt(ctx, version)
	if err != nil {
		return 0, look, nil, err
	}
	if look, err = s.draft(level, look, d); err != nil {
		return 0, look, nil, err
	}
	// Compiling all levels is some milliseconds' work of a processor.
	release, err := slot(ctx, s.checks)
	if err != nil {
		return 0, look, nil, err
	}
	defer release()
	r, err := s.Batches.Renderer.With(look)
	return at, look, r, err
}

func (s *server) previewLook(ctx context.Context, in *previewLookInput) (*previewOutput, error) {
	b := &in.Body
	if err := s.Works.SeeLooks(ctx, personOf(ctx).Actor, "ecert-template:"+in.Name); err != nil {
		return nil, s.fail(ctx, err)
	}
	_, _, r, err := s.drawDraft(ctx, in.Name, b.Version, &b.LookDraft)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	level, _ := levelOf(in.Name)
	if level == "" {
		level, _ = ecert.ParseLevel(b.Level)
	}
	if level == "" {
		level = ecert.SKM1
	}
	c, photo, err := ecert.Example(ecert.Sample{Language: ecert.Language(b.Language), Level: level, Long: b.Long, Units: b.Units, Photo: b.Photo})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	page, err := r.Render(c, s.Batches.RecordURL("CONTOH"), photo)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &previewOutput{ContentType: "application/pdf", Disposition: "inline", Cache: "no-store", Body: page}
	if b.Format == "png" {
		out.ContentType = "image/png"
		if out.Body, err = picture(ctx, page, b.Page); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	return out, nil
}

func (s *server) proposeLook(ctx context.Context, in *proposeLookInput) (*lookVersionOutput, error) {
	by := personOf(ctx).Actor
	// What may be proposed is judged before what it is: who may not is told only that.
	if err := s.Works.MayPropose(ctx, by, in.Name); err != nil {
		return nil, s.fail(ctx, err)
	}
	at, look, _, err := s.drawDraft(ctx, in.Name, in.Body.Version, &in.Body.LookDraft)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	changes, err := json.Marshal(look)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	_, was, err := s.lookAt(ctx, at)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if before, err := json.Marshal(was); err != nil || bytes.Equal(before, changes) {
		return nil, s.fail(ctx, orElse(err, fixed("texts", "Nothing is changed.", "Tiada apa-apa diubah.")))
	}
	l, err := s.Works.Propose(ctx, by, enrol.Look{Base: at, Template: in.Name, Changes: changes, Reason: in.Body.Reason})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &lookVersionOutput{versionOut(ctx, &l)}, nil
}

// flat is a look as fields, for comparing.
func flat(l *ecert.Look) map[string]string {
	out := map[string]string{}
	for in, texts := range l.Texts {
		for key, v := range texts {
			out[fmt.Sprintf("%s.texts.%s.%s", commonLook, in, key)] = v
		}
	}
	for in, levels := range l.Levels {
		for level, texts := range levels {
			for key, v := range texts {
				out[fmt.Sprintf("%s.texts.%s.%s", strings.ToLower(strings.ReplaceAll(string(level), " ", "-")), in, key)] = v
			}
		}
	}
	for layout, places := range l.Places {
		for kind, p := range places {
			out[fmt.Sprintf("%s.places.%s.%s", commonLook, layout, kind)] = fmt.Sprintf("%g, %g", tenth(p.X), tenth(p.Y))
		}
	}
	if len(l.Crest) > 0 {
		out[commonLook+".crest"] = "SHA-256 " + sum256(l.Crest)
	}
	return out
}

// configured is what the configuration has for a field of flat.
func (s *server) configured(field string) string {
	base := s.Batches.Renderer.Templates()
	p := strings.Split(field, ".")
	level, _ := levelOf(p[0])
	switch {
	case len(p) == 4 && p[1] == "texts":
		return textsOf(base, level)[ecert.Language(p[2])][p[3]]
	case len(p) == 4:
		b := base.Boxes(p[2])[p[3]]
		return fmt.Sprintf("%g, %g", tenth(b.X), tenth(b.Y))
	}
	return ""
}

func (s *server) showVersion(ctx context.Context, in *VersionPath) (*versionOutput, error) {
	if err := s.Works.SeeLooks(ctx, personOf(ctx).Actor, fmt.Sprintf("ecert-version:%d", in.Version)); err != nil {
		return nil, s.fail(ctx, err)
	}
	l, err := s.Works.Records.Look(ctx, in.Version)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	_, look, err := s.lookAt(ctx, l.Number)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	_, base, err := s.lookAt(ctx, l.Base)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &versionOutput{}
	out.Body.LookVersionBody, out.Body.Changes = versionOut(ctx, &l), []lookChangeBody{}
	was, is := flat(&base), flat(&look)
	fields := maps.Clone(was)
	maps.Copy(fields, is)
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		old, had := was[f]
		now, has := is[f]
		if !had {
			old = s.configured(f)
		}
		if !has {
			now = s.configured(f)
		}
		if old != now {
			out.Body.Changes = append(out.Body.Changes, lookChangeBody{f, old, now})
		}
	}
	return out, nil
}

func (s *server) confirmLook(ctx context.Context, in *VersionPath) (*lookVersionOutput, error) {
	// What cannot be drawn any more must not come into force: every list would be refused.
	if _, look, err := s.lookAt(ctx, in.Version); err == nil {
		if _, err := s.Batches.Renderer.With(look); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	l, err := s.Works.Confirm(ctx, personOf(ctx).Actor, in.Version)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &lookVersionOutput{versionOut(ctx, &l)}, nil
}

func (s *server) rejectLook(ctx context.Context, in *rejectLookInput) (*lookVersionOutput, error) {
	l, err := s.Works.Reject(ctx, personOf(ctx).Actor, in.Version, in.Body.Reason)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &lookVersionOutput{versionOut(ctx, &l)}, nil
}
