package signer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Threats, row 30b. Somebody who can write to the database changes rows between
// the question and the answer: the officer's code authorises nothing else.
func TestRowsChangedBeforeAuthorize(t *testing.T) {
	const other = "x'" + "aa" + "'"
	for statement, want := range map[string]error{
		"UPDATE items SET name = sealed('name', opened(name) || 'x') WHERE idx = 1":                signer.ErrDocuments,
		"UPDATE items SET digest = zeroblob(32) WHERE idx = 1":                                     signer.ErrDocuments,
		"UPDATE items SET digest = " + other + " WHERE idx = 1":                                    signer.ErrDocuments,
		"UPDATE items SET hash = 6 WHERE idx = 1":                                                  signer.ErrDocuments,
		"UPDATE items SET idx = 9 WHERE idx = 1":                                                   signer.ErrDocuments,
		"UPDATE items SET idx = -idx WHERE idx IN (1, 2)":                                          signer.ErrDocuments,
		"UPDATE items SET state = 'signed' WHERE idx = 1":                                          signer.ErrDocuments,
		"DELETE FROM items WHERE idx = 2":                                                          signer.ErrDocuments,
		"UPDATE items SET batch_id = 'ba_x' WHERE idx = 0":                                         signer.ErrDocuments,
		swapped("items", "digest"):                                                                 signer.ErrDocuments,
		swapped("items", "name"):                                                                   signer.ErrDocuments,
		inserted:                                                                                   signer.ErrDocuments,
		"UPDATE transactions SET count = 2":                                                        signer.ErrDocuments,
		"UPDATE transactions SET root = zeroblob(32)":                                              signer.ErrDocuments,
		"UPDATE transactions SET root = x'00'":                                                     signer.ErrDocuments,
		"UPDATE transactions SET batch_id = 'ba_x'":                                                signer.ErrDocuments,
		"UPDATE transactions SET options_hash = zeroblob(32)":                                      signer.ErrDocuments,
		"UPDATE transactions SET options = sealed('note', replace(opened(options), 'RAW', 'CMS'))": signer.ErrDocuments,
		"UPDATE transactions SET ic = sealed('ic', '880101145678')":                                signer.ErrUnknownOfficer,
		"UPDATE transactions SET credential_id = 'cr_x'":                                           signer.ErrNoCredential,
		"UPDATE transactions SET status = 'SIGNED'":                                                otp.ErrUsed,
		"UPDATE challenges SET nonce = zeroblob(16)":                                               otp.ErrNonce,
		"UPDATE challenges SET redeemed = 1":                                                       otp.ErrUsed,
		"UPDATE challenges SET tries_left = 0":                                                     otp.ErrAttempts,
		"UPDATE challenges SET expires_at = 1":                                                     otp.ErrExpired,
	} {
		h := newHouse(t)
		_, f := h.prepare(t, h.Ask(3))
		h.edit(t, statement)
		h.refuses(t, statement, want, func() error {
			_, err := h.s.Authorize(ctx, f)
			return err
		})
		if h.Keys.Opens.Load() != 0 {
			t.Errorf("%s: the PIN was tried", statement)
		}
	}
}

// Rows that were changed to fit one another: only the code's MAC, made in the
// HSM, still knows what the officer was asked.
func TestRowsChangedTogetherBeforeAuthorize(t *testing.T) {
	for what, forge := range map[string]func(h *house, r *signer.Request){
		"another document with its root": func(h *house, r *signer.Request) {
			var tree signer.Tree
			for _, d := range h.Ask(3).Documents {
				if d.Index == 1 {
					d.Digest = bytes.Repeat([]byte{7}, 32)
					h.edit(t, "UPDATE items SET digest = ? WHERE idx = 1", d.Digest)
				}
				tree.Add(d.Leaf())
			}
			_, root := tree.Root()
			h.edit(t, "UPDATE transactions SET root = ?", root[:])
		},
		"one document less with its root and count": func(h *house, r *signer.Request) {
			var tree signer.Tree
			for _, d := range h.Ask(2).Documents {
				tree.Add(d.Leaf())
			}
			n, root := tree.Root()
			h.edit(t, "DELETE FROM items WHERE idx = 2")
			h.edit(t, "UPDATE transactions SET root = ?, count = ?", root[:], n)
		},
		"other options with their hash": func(h *house, r *signer.Request) {
			o := r.Options
			o.Format = signer.CMS
			text, hash, err := o.Canonical()
			must(t, err)
			h.edit(t, "UPDATE transactions SET options = ?, options_hash = ?", personal.Note(text), hash[:])
		},
		"another credential of the officer": func(h *house, r *signer.Request) {
			other := h.Issue(t, "ECDSA-P256")
			o := r.Options
			o.Certificate = other.Serial
			text, hash, err := o.Canonical()
			must(t, err)
			h.edit(t, "UPDATE transactions SET credential_id = ?, options = ?, options_hash = ?", other.ID, personal.Note(text), hash[:])
		},
		"a nonce of one's own": func(h *house, r *signer.Request) {
			h.edit(t, "UPDATE challenges SET nonce = zeroblob(16)")
		},
	} {
		h := newHouse(t)
		r, f := h.prepare(t, h.Ask(3))
		forge(h, r)
		want := otp.ErrWrong
		if what == "a nonce of one's own" {
			f.Nonce = [otp.NonceSize]byte{}
			want = otp.ErrExpired // there is no MAC under that nonce
		}
		h.refuses(t, what, want, func() error {
			_, err := h.s.Authorize(ctx, f)
			return err
		})
		if h.Keys.Opens.Load() != 0 {
			t.Errorf("%s: the PIN was tried", what)
		}
	}
}

// The tries are given back in the database: the code store has counted, too.
func TestTriesResetInTheDatabase(t *testing.T) {
	h := newHouse(t)
	_, f := h.prepare(t, h.Ask(1))
	code := h.Mail.Code()
	for k := range 5 {
		h.edit(t, "UPDATE challenges SET tries_left = 1000")
		f.Code = secret.New(wrong(code))
		want := otp.ErrWrong
		if k >= 3 {
			want = otp.ErrAttempts
		}
		h.refuses(t, "a wrong code", want, func() error {
			_, err := h.s.Authorize(ctx, f)
			return err
		})
	}
}

// swapped exchanges a column of the rows 1 and 2.
func swapped(table, column string) string {
	return fmt.Sprintf("UPDATE %s SET %s = (SELECT o.%s FROM %s o WHERE o.batch_id = %s.batch_id AND o.idx = 3 - %s.idx) WHERE idx IN (1, 2)", table, column, column, table, table, table)
}

// inserted adds a document to the batch.
const inserted = `INSERT INTO items (batch_id, idx, name, hash, digest, blob, size, document_id, reference, state)
	SELECT batch_id, 99, sealed('name', 'added'), 5, x'` + "ababababababababababababababababababababababababababababababababab" + `', '', 0, '', '', 'pending' FROM items WHERE idx = 0`

// Rows are changed after the intent was recorded, while the first document is
// being signed: nothing outside the authorised list is, and the batch stops.
func TestRowsChangedWhileSigning(t *testing.T) {
	for statement, stops := range map[string]bool{
		"UPDATE items SET name = sealed('name', opened(name) || 'x') WHERE idx = 3":                                true,
		"UPDATE items SET digest = zeroblob(32) WHERE idx = 3":                                                     true,
		"UPDATE items SET hash = 6 WHERE idx = 3":                                                                  true,
		"UPDATE items SET idx = 99 WHERE idx = 3":                                                                  true,
		"UPDATE items SET idx = 7 - idx WHERE idx IN (3, 4) AND 0 OR idx = 4 AND 0":                                false, // control: changes nothing
		"UPDATE items SET reference = sealed('note', 'x'), document_id = 'y' WHERE idx = 3":                        false, // handles are not authorised
		"UPDATE items SET state = 'pending' WHERE idx = 0":                                                         true,
		"UPDATE items SET state = 'signed', signature = x'00' WHERE idx = 4":                                       true,
		"DELETE FROM items WHERE idx = 4":                                                                          true,
		inserted:                                                                                                   true,
		"UPDATE items SET digest = (SELECT o.digest FROM items o WHERE o.idx = 7 - items.idx) WHERE idx IN (3, 4)": true,
		"UPDATE items SET name = (SELECT o.name FROM items o WHERE o.idx = 7 - items.idx) WHERE idx IN (3, 4)":     true,
		"UPDATE items SET batch_id = (SELECT batch_id FROM transactions), idx = 99 WHERE batch_id = 'ba_other'":    true,
		"UPDATE intents SET batch_id = 'ba_other'":                                                                 true,
		"UPDATE transactions SET options = sealed('note', '{}'), root = zeroblob(32), count = 99":                  false, // the runner holds its own
	} {
		h := newHouse(t)
		ev := audit.Event{Action: "x"}
		must(t, h.DB.CreateBatch(ctx, batch.Batch{ID: "ba_other", App: h.App.ID, Name: "x", Kind: batch.Digest, Status: batch.Open}, ev))
		foreign := h.Ask(1).Documents[0]
		foreign.Digest, foreign.Index = bytes.Repeat([]byte{9}, 32), 50
		r, f := h.prepare(t, h.Ask(5))
		a, err := h.s.Authorize(ctx, f)
		must(t, err)
		_, err = h.raw(t).Exec("INSERT INTO items (batch_id, idx, name, hash, digest, blob, size, document_id, reference, state) VALUES ('ba_other', 50, sealed('name', 'foreign'), 5, ?, '', 0, '', '', 'pending')", foreign.Digest)
		must(t, err)

		authorised := map[string]bool{}
		for _, d := range h.Ask(5).Documents {
			authorised[string(d.Digest)] = true
		}
		db, first := h.raw(t), true
		h.Keys.OnSign = func(_ signer.Credential, digest []byte) error {
			if !authorised[string(digest)] {
				t.Errorf("%s: %x was signed", statement, digest)
			}
			if first {
				first = false
				// The row may be in hand by now; take it back, as an attacker would.
				if _, err := db.Exec(statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			delete(authorised, string(digest)) // each once
			return nil
		}
		err = batch.NewRunner(h.s, 1, 1, quiet).Run(ctx, a)
		switch {
		case !stops && err != nil:
			t.Errorf("%s: %v", statement, err)
		case stops && !errors.Is(err, signer.ErrDocuments) && !errors.Is(err, signer.ErrSpent) && !errors.Is(err, signer.ErrFence):
			t.Errorf("%s: the run ended with %v", statement, err)
		}
		if h.Keys.Live.Load() != 0 {
			t.Errorf("%s: the key is still open", statement)
		}
		got, err := h.s.Request(ctx, r.App, r.ID)
		must(t, err)
		alarm := h.refusals(t) > 0
		switch {
		case !stops && got.Status != signer.Signed:
			t.Errorf("%s: the transaction is %s", statement, got.Status)
		case stops && got.Status != signer.NeedsAuthorisation && !alarm:
			t.Errorf("%s: the transaction is %s without an alarm", statement, got.Status)
		}
		// Nobody can complete with what was not authorised, either.
		for _, it := range h.items(t, r) {
			if it.State == batch.ItemSigned && it.Index == 99 {
				t.Errorf("%s: an added row is signed", statement)
			}
		}
	}
}

// The stored bytes of a document are exchanged, or its row points elsewhere:
// what is not the authorised file is neither signed nor called unsignable.
func TestBlobsChangedBeforeSigning(t *testing.T) {
	good := [][]byte{storetest.PDF("satu"), storetest.PDF("dua"), storetest.PDF("tiga")}
	for what, c := range map[string]struct {
		want error
		do   func(h *house)
	}{
		"another PDF":            {signer.ErrDocuments, func(h *house) { h.write(t, "in/1", storetest.PDF("palsu")) }},
		"one more byte":          {signer.ErrDocuments, func(h *house) { h.write(t, "in/1", append(bytes.Clone(good[1]), '\n')) }},
		"no PDF":                 {signer.ErrDocuments, func(h *house) { h.write(t, "in/1", []byte("rubbish")) }},
		"nothing":                {signer.ErrDocuments, func(h *house) { h.write(t, "in/1", nil) }},
		"a row that points away": {signer.ErrDocuments, func(h *house) { h.edit(t, "UPDATE items SET blob = 'in/0' WHERE idx = 1") }},
		"rows exchanged":         {signer.ErrDocuments, func(h *house) { h.edit(t, swapped("items", "blob")) }},
		"control":                {nil, func(*house) {}},
	} {
		for _, when := range []string{"before the code", "after it"} {
			h := newHouse(t)
			r, f := h.prepare(t, h.pdfs(t, good...))
			if when == "before the code" {
				c.do(h)
			}
			a, err := h.s.Authorize(ctx, f)
			must(t, err)
			if when != "before the code" {
				c.do(h)
			}
			if err := batch.NewRunner(h.s, 1, 1, quiet).Run(ctx, a); !errors.Is(err, c.want) {
				t.Errorf("%s %s: %v, want %v", what, when, err, c.want)
			}
			want := signer.NeedsAuthorisation
			if c.want == nil {
				want = signer.Signed
			}
			if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != want {
				t.Errorf("%s %s: the transaction is %s, %v", what, when, got.Status, err)
			}
			for _, it := range h.items(t, r) {
				if it.State != batch.ItemSigned {
					continue
				}
				b, err := h.blobs.Open(ctx, it.SignedBlob)
				must(t, err)
				p, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
				must(t, errors.Join(err, b.Close()))
				if !bytes.HasPrefix(p, good[it.Index]) {
					t.Errorf("%s %s: document %d is signed over other bytes", what, when, it.Index)
				}
			}
		}
	}
}
