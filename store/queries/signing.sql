-- name: AddTransaction :exec
INSERT INTO transactions (id, app_id, system_name, ic, system, data_header, process, role, step, next_role, classification, credential_id, options, options_hash,
    batch_id, implicit, count, root, status, created_at, expires_at)
VALUES (@id, @app_id, @system_name, @ic, @system, @data_header, @process, @role, @step, @next_role, @classification, @credential_id, @options, @options_hash,
    @batch_id, @implicit, @count, @root, 'WAITING', @created_at, @expires_at);

-- name: Transaction :one
SELECT t.id, t.app_id, t.system_name, t.ic, t.system, t.data_header, t.process, t.role, t.step, t.classification, t.credential_id, t.options, t.options_hash,
    t.batch_id, t.implicit, t.count, t.root, t.status, t.created_at, t.expires_at, t.finished_at, t.ended,
    CAST(COALESCE(c.image, '') AS TEXT) AS image, (SELECT COUNT(*) FROM signing_pages p WHERE p.transaction_id = t.id) AS hosted
FROM transactions t LEFT JOIN credentials c ON c.id = t.credential_id WHERE t.id = @id;

-- name: AddSigningPage :exec
INSERT INTO signing_pages (transaction_id, token, redirect_uri, state) VALUES (@transaction_id, @token, @redirect_uri, @state);

-- name: SigningPage :one
SELECT token, redirect_uri, state, session, opened_at FROM signing_pages WHERE transaction_id = @transaction_id;

-- name: SigningPageByToken :one
SELECT transaction_id FROM signing_pages WHERE token = @token;

-- name: OpenSigningPage :execrows
UPDATE signing_pages SET session = @session, opened_at = @now, from_app = @from_app WHERE transaction_id = @transaction_id AND session IS NULL;

-- name: LiveTransactions :one
SELECT COUNT(*) FROM transactions WHERE batch_id = @batch_id AND status IN ('WAITING', 'SIGNING');

-- name: ExpireTransactions :many
UPDATE transactions SET status = 'EXPIRED', finished_at = @now WHERE batch_id = @batch_id AND status = 'WAITING' AND expires_at <= @now RETURNING id;

-- name: EndWaiting :execrows
UPDATE transactions SET status = @status, ended = @ended, finished_at = @now WHERE id = @id AND status = 'WAITING';

-- name: StartSigning :execrows
UPDATE transactions SET status = 'SIGNING' WHERE id = @id AND status = 'WAITING';

-- name: FinishTransaction :exec
UPDATE transactions SET status = @status, finished_at = @now WHERE id = @id AND status = 'SIGNING';

-- name: AbandonTransaction :exec
UPDATE transactions SET status = 'NEEDS_AUTHORISATION', ended = @ended, finished_at = @now WHERE id = @id AND status = 'SIGNING';

-- name: Challenge :one
SELECT transaction_id, ic, nonce, channel, sent_to, issued_at, expires_at, resend_after, tries_left, sends, redeemed
FROM challenges WHERE transaction_id = @transaction_id;

-- name: PutChallenge :exec
INSERT INTO challenges (transaction_id, ic, nonce, channel, sent_to, issued_at, expires_at, resend_after, tries_left, sends, link)
VALUES (@transaction_id, @ic, @nonce, @channel, @sent_to, @issued_at, @expires_at, @resend_after, @tries_left, @sends, @link)
ON CONFLICT (transaction_id) DO UPDATE SET nonce = excluded.nonce, channel = excluded.channel, sent_to = excluded.sent_to,
    issued_at = excluded.issued_at, expires_at = excluded.expires_at, resend_after = excluded.resend_after,
    tries_left = excluded.tries_left, sends = excluded.sends, link = excluded.link;

-- name: Linked :one
SELECT t.id, t.status, c.issued_at FROM challenges c JOIN transactions t ON t.id = c.transaction_id
WHERE c.link = @link AND t.expires_at > @since;

-- name: SpendLink :exec
UPDATE challenges SET link = NULL WHERE link = @link;

-- name: AddCodeSend :exec
INSERT INTO code_sends (transaction_id, ic, sent_at, nonce, channel, sent_to, expires_at)
VALUES (@transaction_id, @ic, @sent_at, @nonce, @channel, @sent_to, @expires_at);

-- name: StoreDelivery :execrows
UPDATE code_sends SET delivery = @delivery, reply = @reply, delivery_at = @at
WHERE transaction_id = @transaction_id AND nonce = @nonce
    AND (@delivery <> 'bounced' AND delivery IN ('', 'deferred') OR @delivery = 'bounced' AND delivery = 'sent');

-- name: CodeWanted :one
SELECT COUNT(*) FROM challenges c JOIN transactions t ON t.id = c.transaction_id
WHERE c.transaction_id = @transaction_id AND c.nonce = @nonce AND c.redeemed = 0 AND t.status = 'WAITING';

-- name: CodeSends :many
SELECT transaction_id, ic, nonce, sent_at, expires_at, channel, sent_to, redeemed, delivery, reply, delivery_at FROM code_sends
WHERE ic = @ic ORDER BY sent_at DESC LIMIT @lim;

-- name: SendsOf :many
SELECT transaction_id, ic, nonce, sent_at, expires_at, channel, sent_to, redeemed, delivery, reply, delivery_at FROM code_sends
WHERE transaction_id = @transaction_id;

-- name: UnredeemedSends :one
SELECT COUNT(*) AS day, COUNT(CASE WHEN t.app_id = own.app_id THEN 1 END) AS own_day,
    COUNT(CASE WHEN s.sent_at > @hour THEN 1 END) AS hour, COUNT(CASE WHEN s.sent_at > @hour AND t.app_id = own.app_id THEN 1 END) AS own_hour
FROM transactions own JOIN code_sends s ON s.ic = @ic AND s.sent_at > @day JOIN transactions t ON t.id = s.transaction_id
WHERE own.id = @transaction_id AND (s.redeemed = 0
    OR s.redeemed = 3 AND NOT (s.transaction_id = @transaction_id AND s.channel <> CAST(@channel AS TEXT)));

-- name: WithdrawChallenge :execrows
UPDATE challenges SET expires_at = issued_at, resend_after = issued_at, tries_left = 0, sends = sends - 1
WHERE transaction_id = @transaction_id AND nonce = @nonce AND redeemed = 0;

-- redeemed is 0 for a code sent, 1 for one of a transaction that was confirmed, 2 for one that
-- did not leave, 3 for one that the next hop refused for good.
-- name: WithdrawSend :exec
UPDATE code_sends SET redeemed = @redeemed WHERE transaction_id = @transaction_id AND nonce = @nonce;

-- name: ReserveTry :one
UPDATE challenges SET tries_left = tries_left - 1
WHERE transaction_id = @transaction_id AND nonce = @nonce AND redeemed = 0 AND tries_left > 0 AND expires_at > @now
RETURNING tries_left;

-- name: RedeemChallenge :execrows
UPDATE challenges SET redeemed = 1 WHERE transaction_id = @transaction_id AND nonce = @nonce AND redeemed = 0;

-- name: RedeemSends :exec
UPDATE code_sends SET redeemed = 1 WHERE transaction_id = @transaction_id AND redeemed IN (0, 3);

-- name: AddIntent :exec
INSERT INTO intents (id, transaction_id, credential_id, batch_id, root, count, options_hash, created_at, deadline, seal, activation, state)
VALUES (@id, @transaction_id, @credential_id, @batch_id, @root, @count, @options_hash, @created_at, @deadline, @seal, @activation, 'open');

-- name: Intent :one
SELECT id, transaction_id, credential_id, batch_id, root, count, options_hash, created_at, deadline, seal, state, closed_at, activation, stopped_at
FROM intents WHERE id = @id;

-- held counts who is at work on an intent.
-- name: OpenIntents :many
SELECT id, transaction_id, credential_id, batch_id, root, count, options_hash, created_at, deadline, seal, state, closed_at, activation, stopped_at,
    (SELECT COUNT(*) FROM intent_runs r WHERE r.intent_id = intents.id AND r.lease_until > @now)
    + (SELECT COUNT(*) FROM items t WHERE t.batch_id = intents.batch_id AND t.state = 'claimed' AND t.intent_id = intents.id AND t.lease_until > @now) AS held
FROM intents WHERE state = 'open' ORDER BY created_at;

-- name: StopIntent :execrows
UPDATE intents SET stopped_at = @now WHERE transaction_id = @transaction_id AND state = 'open' AND stopped_at = 0;

-- name: OpenIntentOf :one
SELECT COUNT(*) FROM intents WHERE transaction_id = @transaction_id AND state = 'open';

-- How it stands with an intent, for one of its runs; 0 runs: it is not one any more. lost counts
-- others whose lease is over.
-- name: RunState :one
SELECT i.state, i.stopped_at, i.batch_id, b.status, (SELECT COUNT(*) FROM intent_runs r WHERE r.id = @run_id AND r.intent_id = i.id) AS runs,
    (SELECT COUNT(*) FROM intent_runs r WHERE r.intent_id = i.id AND r.id <> @run_id AND r.lease_until <= @now) AS lost
FROM intents i JOIN batches b ON b.id = i.batch_id WHERE i.id = @intent_id;

-- name: AddRun :exec
INSERT INTO intent_runs (id, intent_id, lease_until) VALUES (@id, @intent_id, @lease_until);

-- name: ExtendRun :execrows
UPDATE intent_runs SET lease_until = @lease_until WHERE id = @id AND intent_id = @intent_id;

-- name: Runs :many
SELECT id FROM intent_runs WHERE intent_id = @intent_id AND lease_until > @now ORDER BY id;

-- name: EndRun :execrows
DELETE FROM intent_runs WHERE id = @id AND intent_id = @intent_id;

-- name: EndLostRuns :exec
DELETE FROM intent_runs WHERE intent_id = @intent_id AND id <> @own AND lease_until <= @now;

-- name: EndRunsOf :exec
DELETE FROM intent_runs WHERE intent_id = @intent_id;

-- name: EndAllRuns :exec
DELETE FROM intent_runs;

-- name: CloseIntent :execrows
UPDATE intents SET state = @state, closed_at = @now, activation = NULL WHERE id = @id AND state = 'open';

-- name: CredentialStatus :one
SELECT status FROM credentials WHERE id = @id;

-- name: AddDocument :exec
INSERT INTO documents (id, app_id, name, size, pages, digest, blob, created_at)
VALUES (@id, @app_id, @name, @size, @pages, @digest, @blob, @created_at);

-- name: Document :one
SELECT id, app_id, name, size, pages, digest, blob, created_at FROM documents WHERE id = @id;

-- The newest; of a document that moves between roles the last one's, whatever a clock said.
-- name: SignedDocument :one
SELECT i.signed_blob, i.signed_size FROM items i LEFT JOIN signatories s ON s.batch_id = i.batch_id AND s.idx = i.idx
WHERE i.document_id = @document_id AND i.state = 'signed' ORDER BY COALESCE(s.step, 0) DESC, i.signed_at DESC LIMIT 1;

-- name: AcceptedEvents :many
SELECT seq, at, actor, action, object, verdict, request_id, detail FROM audit_events
WHERE object = @object AND action = @action AND verdict = 'accepted' ORDER BY seq;

-- The newest first; behind a place, which is the first one's time and id.
-- name: TransactionsOfOfficer :many
SELECT t.id, t.app_id, t.system_name, t.ic, t.system, t.data_header, t.process, t.role, t.step, t.classification, t.credential_id, t.options, t.options_hash,
    t.batch_id, t.implicit, t.count, t.root, t.status, t.created_at, t.expires_at, t.finished_at, t.ended, b.name AS batch_name,
    (SELECT COUNT(*) FROM signing_pages p WHERE p.transaction_id = t.id) AS hosted
FROM transactions t JOIN batches b ON b.id = t.batch_id
WHERE t.ic = @ic AND t.created_at <= @at AND (t.created_at < @at OR t.id < @id) AND (CAST(@status AS TEXT) = '' OR t.status = @status)
ORDER BY t.created_at DESC, t.id DESC LIMIT @lim;

-- name: IntentOfTransaction :one
SELECT created_at FROM intents WHERE transaction_id = @transaction_id;

-- name: EventsAbout :many
SELECT seq, at, action, verdict FROM audit_events WHERE object = @object ORDER BY seq LIMIT @lim;
