// Package hsm keeps every private key of the gateway in a PKCS#11 module (OASIS PKCS#11 v2.40).
// It is the only package that calls C.
//
// # Two kinds of keys
//
// Service keys are few and live in the token: the key-encryption key (KEK) and the pepper, which
// guard officers' keys and never leave this package; three HMAC keys ([CodeKey], [IntentKey],
// [IdempotencyKey]); and named signing keys (CA, OCSP, time-stamps, audit seal), which are
// [crypto.Signer]s by way of crypto11.
//
// Officers' keys are many and do not live in the token. [Module.Generate] makes a pair inside the
// module, takes the private key out wrapped by the KEK (RFC 5649; SoftHSM counts the padding in the
// length, so what it wraps opens in SoftHSM alone), and seals the wrapped key once more with
// AES-256-GCM under
//
//	HKDF-SHA256( HMAC-SHA256 made in the module with the pepper ( Argon2id(PIN, salt) ) )
//
// The result is a [SealedKey], for a database. Officer, key, algorithm, version and the
// parameters of the seal are authenticated with it, so a row moved, altered or rolled back does
// not open. There is no PIN hash: a right PIN is one that opens the seal. The database alone is
// useless without the module, the module useless without the database, and both without the PIN
// allow nothing but guessing at the module's speed. [Module.Unseal] opens the seal and unwraps
// the key into a session object, which can sign and cannot be read, and [Key.Close] destroys it.
//
// The KEK carries CKA_UNWRAP_TEMPLATE, so that nobody who is logged in, this package included,
// can unwrap an officer's key as anything but a sensitive, non-extractable, sign-only session
// object; the KEK itself cannot be modified, copied, read or used to encrypt and decrypt.
// [Module.SelfTest] tries all of that and refuses a module that allows it.
//
// Which KEK wraps a new key is an argument of [Module.Generate]: a rotation changes it while the
// module is open ([Module.MakeKEK], [Module.DestroyKEK]). A sealed key names its own. Keys of a
// ceremony come in by [Module.Import]. [Module.Keys] gives a check value of every key, so that one
// which was replaced is found out.
//
// # Sessions and the log-in
//
// A session has room for one operation at a time: two goroutines on one session end in
// SIGSEGV inside SoftHSM. So sessions travel through a channel, are exclusive while held, and no
// exported name takes or gives a raw handle. Waiting for one is bounded ([ErrBusy]). A session
// goes back only after success or an error proved to concern the input alone; after any other
// error it may have an operation under way (CKR_OPERATION_ACTIVE for whoever comes next) and is
// replaced.
//
// Some sessions are kept for people who wait: keys opened for a batch ([Use]) leave them alone.
//
// The log-in belongs to the process and the token, not to a session: crypto11 logs one session
// in, and all others are logged in with it. The token PIN is tried once, never in a loop: real
// tokens lock. A second [Open] of the same token in one process shares the log-in, in which case
// the module is not asked about the PIN.
//
// Session objects are visible to every session of the process and die with the session that made
// them. A session that made a key still in use is therefore kept until the last of its keys is
// closed, even after it was discarded from the pool. If it dies all the same, the key unwraps
// itself again, once.
//
// # Signatures
//
// Documents are hashed by the caller. Every signature is verified with the public key before it
// leaves this package, so a fault in the module shows as [ErrBadSignature] and not as a document
// that nobody can verify (or, for RSA-CRT, one from which the key can be computed).
//
// # When the module goes away
//
// All that hangs on one connection with the token (library, log-in, sessions, handles) is one
// value. An answer that says that the module or the token is gone, or session after session that
// dies, gives it up: the breaker opens, and whoever asks is refused with [ErrUnavailable] without
// the module being asked. Meanwhile the module is finalized and initialised, the token found by its
// label, logged in to and tried with a signature, again and again with growing pauses, until all
// of that works. Opened keys notice that their connection is gone and unwrap themselves over the
// next one. The same is done, unnoticed, after many opened keys ([Config.RecycleAfter]).
//
// A call into the module cannot be cancelled. A context ends the wait for a session, and is
// looked at before each call; a call under way runs to its end, or for ever. A watchdog sees that
// and the breaker opens; but the call, its goroutine and the module are lost to this process. So
// what serves has the module in another one ([Process], [ServeProcess]), which is ended then.
package hsm
