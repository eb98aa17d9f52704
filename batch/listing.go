package batch

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/signer"
)

// The codes of refused rows of a manifest.
const (
	codeFileMissing   = "row_file_missing"    // no such file in the ZIP
	codeFileDuplicate = "row_file_duplicate"  // two rows, or two files of the ZIP, of one name
	codeNotListed     = "row_file_not_listed" // a file that the manifest does not name
	codeAmountInvalid = "row_amount_invalid"
	codeCurrency      = "row_currency_invalid"
)

const (
	maxPayee    = 120       // characters
	maxManifest = 256 << 20 // bytes: a million rows have some 100
)

// entry is what a manifest says of a file.
type entry struct {
	row  int
	file string
	Reference, Title,
	Amount, Payee string
	bad  *Refusal
	seen bool // the ZIP has the file
}

// listing is what a ZIP says of its files. Nil: it has none.
type listing struct {
	rows    []*entry
	byFile  map[string]*entry
	amounts int          // rows that have one
	format  table.Format // of a CSV
}

// The columns of a manifest, the Malay name first; of JSON the last one is the member's.
var manifestColumns = [...][]string{
	{"fail", "nama_fail", "name", "file"}, {"rujukan", "no_rujukan", "reference"}, {"tajuk", "title"},
	{"jumlah", "amaun", "amount"}, {"mata_wang", "currency"}, {"penerima", "payee"},
}

// readManifest reads the one in a ZIP: manifest.csv or manifest.json. What cannot be read refuses the
// upload (*table.Error, ErrInput).
func (s *Service) readManifest(zr *zip.Reader) (*listing, error) {
	var found *zip.File
	for _, zf := range zr.File {
		if aside(zf.Name) || !isManifest(path.Base(strings.ReplaceAll(zf.Name, `\`, "/"))) {
			continue
		}
		if !isManifest(zf.Name) { // to take it for a PDF would be to lose the amounts
			return nil, unreadable("manifes "+quoted(zf.Name)+" berada dalam folder; letakkannya di luar folder, di akar ZIP", "the manifest "+quoted(zf.Name)+" is in a folder; put it at the root of the ZIP, outside all folders")
		}
		if found != nil {
			return nil, unreadable("ZIP mengandungi dua manifes, "+quoted(found.Name)+" dan "+quoted(zf.Name)+"; masukkan satu sahaja", "the ZIP holds two manifests, "+quoted(found.Name)+" and "+quoted(zf.Name)+"; put in one alone")
		}
		found = zf
	}
	if found == nil {
		return nil, nil
	}
	if found.UncompressedSize64 > maxManifest { // archive/zip gives no more than it claims
		return nil, &InputError{EN: fmt.Sprintf("the manifest is larger than %d bytes", maxManifest), MS: fmt.Sprintf("manifes lebih besar daripada %d bait", maxManifest), Kind: ErrTooLarge}
	}
	r, err := found.Open()
	if err != nil {
		return nil, damaged(found.Name, err)
	}
	defer r.Close()
	f, size, err := spool.Copy(s.TempDir, r, s.MaxUpload)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m := &listing{byFile: map[string]*entry{}}
	if strings.EqualFold(found.Name, "manifest.json") {
		err = m.readJSON(f)
	} else {
		err = m.readCSV(f, size)
	}
	if err != nil {
		return nil, err
	}
	m.whole()
	return m, nil
}

// isManifest: programs of Windows change upper and lower case.
func isManifest(name string) bool {
	return strings.EqualFold(name, "manifest.json") || strings.EqualFold(name, "manifest.csv")
}

func (m *listing) readJSON(f *os.File) error {
	no := func() error {
		at := len(m.rows) + 1
		return table.Refuse(at, 0, fmt.Sprintf("manifest.json is not an array of objects of the texts file, reference, title, amount, currency, payee (object %d)", at),
			fmt.Sprintf("manifest.json bukan tatasusunan objek dengan teks file, reference, title, amount, currency, payee (objek %d)", at))
	}
	part := &parts{r: f}
	dec := json.NewDecoder(part)
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return no()
	}
	for part.begin(dec); dec.More(); part.begin(dec) {
		var x struct{ File, Reference, Title, Amount, Currency, Payee string }
		if err := dec.Decode(&x); err != nil {
			return no()
		}
		if err := m.add(len(m.rows)+1, [...]string{x.File, x.Reference, x.Title, x.Amount, x.Currency, x.Payee}, [...]string{"file", "reference", "title", "amount", "currency", "payee"}); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return no()
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return no()
	}
	return nil
}

// parts gives a decoder no more of one value than maxLine, and what it reads ahead: what is longer
// would be in memory before anything can be said of it.
type parts struct {
	r       io.Reader
	n, from int64
}

func (p *parts) begin(dec *json.Decoder) { p.from = dec.InputOffset() }

func (p *parts) Read(b []byte) (int, error) {
	if p.n-p.from >= maxLine {
		return 0, errors.New("a value is too long")
	}
	n, err := p.r.Read(b[:min(len(b), maxLine/4)])
	p.n += int64(n)
	return n, err
}

func (m *listing) readCSV(f *os.File, size int64) error {
	rows, format, err := table.OpenAny(f, size)
	if err != nil {
		return err
	}
	m.format = format
	fields, line, err := rows.Next(len(manifestColumns))
	if err == io.EOF {
		return table.Refuse(1, 0, "manifest.csv is empty", "manifest.csv kosong")
	}
	if err != nil {
		return err
	}
	var spelled [len(manifestColumns)]string
	var order []int // of a column: which it is
	for at, raw := range fields {
		name := strings.Join(strings.FieldsFunc(strings.ToLower(string(raw)), func(r rune) bool { return strings.ContainsRune(" _-.", r) }), "_")
		k := slices.IndexFunc(manifestColumns[:], func(names []string) bool { return slices.Contains(names, name) })
		if k < 0 || spelled[k] != "" {
			return table.Refuse(line, at+1, "not a column of a manifest (file, reference, title, amount, currency, payee), or one that comes twice",
				"bukan lajur manifes (fail, rujukan, tajuk, jumlah, mata_wang, penerima), atau berganda")
		}
		spelled[k], order = strings.TrimSpace(string(raw)), append(order, k)
	}
	if spelled[0] == "" {
		return table.Refuse(line, 0, `column "fail" is missing`, `lajur "fail" tiada`)
	}
	for row := 2; ; row++ {
		fields, line, err := rows.Next(len(order))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(fields) == 1 && len(order) > 1 && len(fields[0]) == 0 {
			continue // an empty line
		}
		if len(fields) != len(order) {
			return table.Refuse(line, 0, fmt.Sprintf("%d fields in the row, the header has %d", len(fields), len(order)), fmt.Sprintf("%d medan dalam baris, pengepala mempunyai %d", len(fields), len(order)))
		}
		var values [len(manifestColumns)]string
		for at, k := range order {
			values[k] = strings.TrimSpace(string(fields[at]))
		}
		if err := m.add(row, values, spelled); err != nil {
			return err
		}
	}
}

// add judges a row.
func (m *listing) add(row int, v, column [len(manifestColumns)]string) error {
	if len(m.rows) == maxItems {
		return tooMany("baris manifes", "rows of a manifest")
	}
	e := &entry{row: row, file: v[0], Reference: v[1], Title: v[2], Payee: v[5]}
	m.rows = append(m.rows, e)
	e.judge(v, column)
	if e.bad != nil { // of what was refused no text is kept
		e.Reference, e.Title, e.Payee = "", "", ""
	}
	if !cleanText(e.file, 200) { // nor looked for: no file of the ZIP is taken in under it
		e.file = ""
		return nil
	}
	if first := m.byFile[e.file]; first != nil {
		// Which of the two is right is not for the program to guess.
		for _, x := range []*entry{first, e} {
			if x.bad == nil {
				x.refuse(column[0], codeFileDuplicate, fmt.Sprintf("baris %d dan %d menamakan fail yang sama", first.row, e.row), fmt.Sprintf("rows %d and %d name the same file", first.row, e.row))
			}
		}
		return nil
	}
	m.byFile[e.file] = e
	return nil
}

func (e *entry) refuse(column, code, ms, en string) {
	if e.bad == nil {
		e.bad = &Refusal{Row: e.row, Column: column, Name: shownName(e.file), Code: code, Detail: ms + " / " + en}
	}
}

func (e *entry) judge(v, column [len(manifestColumns)]string) {
	for k, limit := range [...]int{0: 200, 1: 200, 2: 200, 5: maxPayee} {
		if limit == 0 {
			continue
		}
		if k == 0 && v[k] == "" {
			e.refuse(column[k], ecert.CodeFieldMissing, "medan kosong", "nothing in the field")
		} else if v[k] != "" && !cleanText(v[k], limit) {
			e.refuse(column[k], ecert.CodeFieldInvalid, fmt.Sprintf("bukan 1 hingga %d aksara yang boleh dicetak", limit), fmt.Sprintf("not 1 to %d printable characters", limit))
		}
	}
	if v[4] != "" && v[4] != "MYR" {
		e.refuse(column[4], codeCurrency, "hanya MYR diterima", "MYR alone is taken")
	}
	if v[3] == "" {
		return
	}
	var ok bool
	if e.Amount, ok = signer.ParseAmount(v[3]); !ok {
		e.refuse(column[3], codeAmountInvalid, "bukan amaun seperti 29911.35: tanpa tanda, pemisah ribu atau lebih dua perpuluhan", "not an amount such as 29911.35: without sign, thousands separator or more than two decimals")
	}
}

// whole refuses the rows without an amount where others have one: their sum would say too little.
func (m *listing) whole() {
	for _, e := range m.rows {
		if e.Amount != "" {
			m.amounts++
		}
	}
	for _, e := range m.rows {
		if m.amounts > 0 && e.Amount == "" {
			e.refuse("", ecert.CodeFieldMissing, "amaun tiada, sedangkan baris lain ada", "no amount, where other rows have one")
		}
	}
}

// of is what is said of a file; a refusal if it is not taken in.
func (m *listing) of(row int, name string) (*entry, *Refusal) {
	if m == nil {
		return nil, nil
	}
	e := m.byFile[name]
	switch {
	case e == nil:
		return nil, &Refusal{Row: row, Name: shownName(name), Code: codeNotListed, Detail: "fail ini tiada dalam manifes / the manifest does not name this file"}
	case e.seen:
		return nil, &Refusal{Row: row, Name: shownName(name), Code: codeFileDuplicate, Detail: "dua fail dalam ZIP bernama sama / two files of the ZIP have this name"}
	}
	e.seen = true
	return e, e.bad
}

// left are the rows for which there was no file, and those of one that was refused for another row.
func (m *listing) left(f func(Refusal) error) error {
	if m == nil {
		return nil
	}
	for _, e := range m.rows {
		if e.seen {
			continue
		}
		e.refuse("", codeFileMissing, "tiada fail sedemikian dalam ZIP", "there is no such file in the ZIP")
		if err := f(*e.bad); err != nil {
			return err
		}
	}
	return nil
}
