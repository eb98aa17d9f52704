package signer

import "time"

// Newest is a place in a list whose newest entry comes first; the zero value is its beginning.
type Newest struct {
	At time.Time
	ID string
}

// Mine asks for the transactions in which one officer is the signatory, whoever asked.
type Mine struct {
	Officer string // IC
	Status  Status // "": any
	Before  Newest // exclusive
	Limit   int
}

// Trace is where an audit event stands that is about something.
type Trace struct {
	Seq             int64
	At              time.Time
	Action, Verdict string
}

// OwnTransaction is one of them. Its Page says only that there is one, its Image is left out.
type OwnTransaction struct {
	Request
	BatchName string // "" for a batch that was made for the transaction
	First     string // name of the first document of such a batch; "" for any other
}
