package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

var _ enrol.SubjectRecords = (*DB)(nil)

// allOf is a limit that no person reaches.
const allOf = 1 << 30

// sheets are the tables of one person, with the names by which the audit may know them.
type sheets struct {
	q     *sqlc.Queries
	ic    string
	names map[string]bool
	give  func(name string, columns []string, rows [][]any) error
}

func (s *sheets) sheet(name, columns string, rows [][]any) error {
	for _, row := range rows {
		for k, v := range row {
			if v := reflect.ValueOf(v); v.Kind() == reflect.String { // of a personal type
				row[k] = v.String()
			}
		}
	}
	return s.give(name, strings.Fields(columns), rows)
}

// Subject implements enrol.SubjectRecords. All but the audit is of one state.
func (d *DB) Subject(ctx context.Context, ic string, f func(name string, columns []string, rows [][]any) error) error {
	s := &sheets{ic: ic, names: map[string]bool{"officer:" + ic: true, ic: true}, give: f}
	err := d.snapshot(ctx, func(q *sqlc.Queries) error {
		s.q = q
		for _, sheet := range []func(context.Context) error{s.person, s.account, s.keys, s.enrolments, s.mail, s.signatures, s.documents, s.archives} {
			if err := sheet(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.audit(ctx, d)
}

func (s *sheets) person(ctx context.Context) error {
	var rows [][]any
	o, err := s.q.Officer(ctx, personal.IC(s.ic))
	switch {
	case err == nil:
		rows = append(rows, []any{o.Ic, o.Name, o.Email, instant(o.CreatedAt), o.PinInARow, o.PinTotal, instant(o.PinLockedUntil), o.PinBlocked})
	case !errors.Is(err, sql.ErrNoRows):
		return err
	default:
		if _, err := s.q.AccountByIC(ctx, orNull(s.ic)); err != nil {
			return absent(err, enrol.ErrUnknown)
		}
	}
	if err := s.sheet("pegawai", "ic name email registered_at wrong_pins_in_a_row wrong_pins pin_locked_until pin_blocked", rows); err != nil {
		return err
	}
	media, err := s.q.Media(ctx, personal.IC(s.ic))
	if err != nil {
		return err
	}
	rows = nil
	for _, m := range media {
		rows = append(rows, []any{m.System, m.Medium, m.Status})
	}
	return s.sheet("medium", "system medium status", rows)
}

func (s *sheets) account(ctx context.Context) error {
	var accounts, appointments, passkeys, sessions [][]any
	a, err := s.q.AccountByIC(ctx, orNull(s.ic))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err == nil {
		s.names["account:"+a.ID], s.names[a.ID] = true, true
		accounts = append(accounts, []any{a.ID, a.Kind, a.Name, a.Email, a.State, flag(len(a.Password) > 0), flag(len(a.Totp) > 0), instant(a.CreatedAt)})
		list, err := s.q.Appointments(ctx, a.ID)
		if err != nil {
			return err
		}
		for _, x := range list {
			s.names[x.ID] = true
			appointments = append(appointments, []any{x.ID, x.Role, x.Agency, x.System, instant(x.FromAt), instant(x.UntilAt), x.Document, x.EndDocument})
		}
		keys, err := s.q.Passkeys(ctx, a.ID)
		if err != nil {
			return err
		}
		for _, k := range keys {
			passkeys = append(passkeys, []any{k.Label, instant(k.CreatedAt), instant(k.UsedAt)})
		}
		open, err := s.q.SessionsOf(ctx, sqlc.SessionsOfParams{AccountID: a.ID})
		if err != nil {
			return err
		}
		for _, x := range open {
			sessions = append(sessions, []any{x.ID, x.Method, x.Address, x.Agent, instant(x.CreatedAt), instant(x.SeenAt)})
		}
	}
	return errors.Join(s.sheet("akaun", "account_id kind name email state has_password has_totp created_at", accounts),
		s.sheet("lantikan", "appointment_id role agency system from until document end_document", appointments),
		s.sheet("passkey", "label created_at used_at", passkeys),
		s.sheet("sesi", "session_id method address agent opened_at seen_at", sessions))
}

func (s *sheets) keys(ctx context.Context) error {
	list, all, err := keysOf(ctx, s.q, s.ic)
	if err != nil {
		return err
	}
	var rows, certs [][]any
	for _, c := range list {
		rows = append(rows, []any{c.ID, c.System, c.Algorithm, c.Status, c.Serial, instant(c.CreatedAt)})
	}
	for _, id := range all {
		s.names[id] = true
		found, err := s.q.CertificatesOfKey(ctx, id)
		if err != nil {
			return err
		}
		for _, k := range found {
			s.names[k.Serial] = true
			x, err := s.q.CertificateBySerial(ctx, k.Serial)
			if err != nil {
				return err
			}
			certs = append(certs, []any{x.Serial, x.Issuer, x.Subject.V, x.Status, instant(x.NotBefore), instant(x.NotAfter), instant(x.RevokedAt), x.Reason, hex.EncodeToString(x.Der.V)})
		}
	}
	return errors.Join(s.sheet("kunci", "credential_id system algorithm status serial_number created_at", rows),
		s.sheet("sijil", "serial_number issuer subject status not_before not_after revoked_at reason der_hex", certs))
}

func (s *sheets) enrolments(ctx context.Context) error {
	list, err := s.q.EnrolmentsOf(ctx, personal.IC(s.ic))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, r := range list {
		e := r.Enrolment
		s.names[e.ID] = true
		rows = append(rows, []any{e.ID, e.System, e.Agency, e.Office, e.Phase, e.Ticket, e.Kind, e.State, instant(e.Since), instant(e.ListedAt), instant(e.MailedAt), e.Reply, e.Reason,
			instant(e.ValidatedAt), instant(e.ApprovedAt)})
	}
	return s.sheet("permohonan", "enrolment_id system agency office phase ticket kind state since listed_at mailed_at mail_reply reason validated_at approved_at", rows)
}

func (s *sheets) mail(ctx context.Context) error {
	changes, err := s.q.AddressChangesOf(ctx, personal.IC(s.ic))
	if err != nil {
		return err
	}
	var rows, codes [][]any
	for _, r := range changes {
		c := r.AddressChange
		s.names[c.ID] = true
		rows = append(rows, []any{c.ID, c.OldEmail, c.NewEmail, c.State, instant(c.AskedAt), instant(c.EndedAt)})
	}
	sends, err := s.q.CodeSends(ctx, sqlc.CodeSendsParams{Ic: personal.IC(s.ic), Lim: allOf})
	if err != nil {
		return err
	}
	for _, c := range sends {
		codes = append(codes, []any{c.TransactionID, c.Channel, c.SentTo, instant(c.SentAt), c.Delivery, c.Reply, instant(c.DeliveryAt)})
	}
	logins, err := s.q.LoginSends(ctx, sqlc.LoginSendsParams{Ic: orNull(s.ic), Lim: allOf})
	if err != nil {
		return err
	}
	for _, c := range logins {
		codes = append(codes, []any{c.ID, c.Channel, c.SentTo, instant(c.IssuedAt), c.Delivery, c.Reply, instant(c.DeliveryAt)})
	}
	return errors.Join(s.sheet("pertukaran_alamat", "change_id old_email new_email state asked_at ended_at", rows),
		s.sheet("kod_dihantar", "for channel sent_to sent_at delivery mail_reply delivery_at", codes))
}

func (s *sheets) signatures(ctx context.Context) error {
	list, err := s.q.TransactionsOf(ctx, personal.IC(s.ic))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, t := range list {
		s.names[t.ID] = true
		rows = append(rows, []any{t.ID, t.BatchID, t.AppID, t.System, t.DataHeader, t.Process, t.Role, t.Classification, t.CredentialID, t.Count, t.Status, instant(t.CreatedAt), instant(t.FinishedAt)})
	}
	return s.sheet("transaksi", "transaction_id batch_id app system data_header process role classification credential_id documents status created_at finished_at", rows)
}

func (s *sheets) documents(ctx context.Context) error {
	list, err := s.q.DocumentsOf(ctx, personal.IC(s.ic))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, x := range list {
		rows = append(rows, []any{x.BatchID, x.Idx, x.Name, x.Reference, hex.EncodeToString(x.Digest), x.State, x.Code, instant(x.SignedAt), instant(x.Timestamp)})
	}
	return s.sheet("dokumen", "batch_id index name reference digest_hex state refusal signed_at timestamp", rows)
}

func (s *sheets) archives(ctx context.Context) error {
	list, err := s.q.ArchivesOf(ctx, personal.IC(s.ic))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, a := range list {
		rows = append(rows, []any{a.ID, a.State, instant(a.CreatedAt), instant(a.NewestAt)})
	}
	return s.sheet("arkib", "archive_id state created_at newest", rows)
}

// foreign matches what may be another person's IC.
var foreign = regexp.MustCompile(`\b[0-9]{12}\b`)

// aboutOthers says whether a text has an IC, and not the person's.
func (s *sheets) aboutOthers(v string) bool {
	return slices.ContainsFunc(foreign.FindAllString(v, -1), func(ic string) bool { return ic != s.ic })
}

// audit is what the chain tells about the person or of the person's own deeds. Others
// who did something are named by their role alone; of deeds of the person's own about others,
// as an administrator's are, nothing is told but that, when and with which verdict.
func (s *sheets) audit(ctx context.Context, d *DB) error {
	var rows [][]any
	err := d.AuditRecords(ctx, 0, func(r audit.Record) error {
		own := s.names[r.Actor]
		found := own || s.names[r.Object]
		for _, v := range r.Detail {
			found = found || s.names[v]
		}
		if !found {
			return nil
		}
		actor := r.Actor
		if !own {
			actor, _, _ = strings.Cut(actor, ":")
		}
		if own && !s.names[r.Object] {
			clear(r.Detail)
		}
		for key, v := range r.Detail {
			if s.aboutOthers(v) {
				delete(r.Detail, key)
			}
		}
		if s.aboutOthers(r.Object) {
			r.Object = ""
		}
		detail, err := json.Marshal(r.Detail)
		rows = append(rows, []any{r.Seq, r.At, actor, r.Action, r.Object, r.Verdict, string(detail)})
		return err
	})
	if err != nil {
		return err
	}
	return s.sheet("audit", "seq at actor action object verdict detail", rows)
}
