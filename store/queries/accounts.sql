-- name: Account :one
SELECT id, kind, ic, email, name, state, password, totp, totp_step, epoch, setup, setup_until, created_at FROM accounts WHERE id = @id;

-- name: AccountByIC :one
SELECT id, kind, ic, email, name, state, password, totp, totp_step, epoch, setup, setup_until, created_at FROM accounts WHERE ic = @ic;

-- name: AccountBySetup :one
SELECT id, kind, ic, email, name, state, password, totp, totp_step, epoch, setup, setup_until, created_at FROM accounts
WHERE setup = @setup AND setup_until > @now;

-- name: AdministratorAccounts :many
SELECT id, kind, ic, email, name, state, password, totp, totp_step, epoch, setup, setup_until, created_at FROM accounts
WHERE kind = 'administrator' OR id IN (SELECT p.account_id FROM appointments p) ORDER BY created_at, id;

-- name: Appointments :many
SELECT account_id, role, agency, system, from_at, until_at, id, document, appointed_by, appointed_ic, awaits, ended_by, end_document
FROM appointments WHERE account_id = @account_id ORDER BY from_at, role, agency, system;

-- name: Appointment :one
SELECT account_id, role, agency, system, from_at, until_at, id, document, appointed_by, appointed_ic, awaits, ended_by, end_document
FROM appointments WHERE id = @id;

-- name: AddAccount :exec
INSERT INTO accounts (id, kind, ic, email, name, state, password, totp, created_at)
VALUES (@id, @kind, @ic, @email, @name, @state, @password, @totp, @created_at);

-- name: SetPassword :execrows
UPDATE accounts SET password = @password, state = 'ACTIVE', epoch = epoch + 1
WHERE id = @id AND (kind = 'officer' AND state <> 'ENDED' OR state = 'ACTIVE');

-- name: StartSetup :execrows
UPDATE accounts SET kind = 'administrator', ic = COALESCE(ic, @ic), email = @email, name = @name, state = 'NEW', password = @nothing, totp = @nothing,
    totp_step = 0, epoch = epoch + 1, setup = @setup, setup_until = @until WHERE id = @id;

-- name: PutTOTP :execrows
UPDATE accounts SET totp = @totp, totp_step = 0 WHERE setup = @setup AND setup_until > @now;

-- name: CompleteSetup :execrows
UPDATE accounts SET password = @password, totp_step = @step, state = 'ACTIVE', epoch = epoch + 1, setup = NULL, setup_until = 0
WHERE setup = @setup AND setup_until > @now;

-- name: EndAccount :execrows
UPDATE accounts SET state = 'ENDED', password = @nothing, totp = @nothing, epoch = epoch + 1, setup = NULL, setup_until = 0
WHERE id = @id AND state <> 'ENDED';

-- name: AcceptStep :execrows
UPDATE accounts SET totp_step = @step WHERE id = @id AND state = 'ACTIVE' AND totp_step < @step;

-- Appointments with their person, the newest first: ENDED, AWAITING a second person, IN_FORCE
-- (also those to come), ANY, or those that have not ended ("").
-- name: AppointmentsBy :many
SELECT sqlc.embed(p), sqlc.embed(a) FROM appointments p JOIN accounts a ON a.id = p.account_id
WHERE (p.from_at < @before OR p.from_at = @before AND p.id < @id)
    AND (CAST(@role AS TEXT) = '' OR p.role = @role) AND (CAST(@agency AS TEXT) = '' OR p.agency = @agency) AND (CAST(@system AS TEXT) = '' OR p.system = @system)
    AND (CAST(@any_ic AS BIGINT) = 1 OR a.ic = @ic)
    AND (CAST(@state AS TEXT) = 'ANY' OR (@state = 'ENDED') = (p.until_at <> 0 AND p.until_at <= @now))
    AND (@state <> 'AWAITING' OR p.awaits = 1) AND (@state <> 'IN_FORCE' OR p.awaits = 0)
ORDER BY p.from_at DESC, p.id DESC LIMIT @lim;

-- name: SetupMail :one
SELECT account_id, due_at, attempts, mailed_at, reply FROM setup_mails WHERE account_id = @account_id;

-- name: AddAppointment :exec
INSERT INTO appointments (account_id, role, agency, system, from_at, until_at, id, document, appointed_by, appointed_ic, awaits)
VALUES (@account_id, @role, @agency, @system, @from_at, @until_at, @id, @document, @appointed_by, @appointed_ic, @awaits);

-- name: SameAppointment :one
SELECT COUNT(*) FROM appointments WHERE account_id = @account_id AND role = @role AND agency = @agency AND system = @system AND (until_at = 0 OR until_at > @from_at);

-- name: ConfirmAppointment :execrows
UPDATE appointments SET awaits = 0 WHERE id = @id AND awaits = 1 AND (until_at = 0 OR until_at > @now);

-- name: EndAppointment :execrows
UPDATE appointments SET until_at = @until_at, ended_by = @ended_by, end_document = @end_document WHERE id = @id AND (until_at = 0 OR until_at > @until_at);

-- name: EndAppointments :exec
UPDATE appointments SET until_at = @until_at, ended_by = @ended_by WHERE account_id = @account_id AND (until_at = 0 OR until_at > @until_at);

-- Central administrators who hold office at a time and with no end to come.
-- name: LastingJDN :one
SELECT COUNT(*) FROM appointments p JOIN accounts a ON a.id = p.account_id
WHERE p.role = 'JDN' AND p.awaits = 0 AND p.from_at <= @at AND p.until_at = 0 AND a.state = 'ACTIVE' AND a.kind = 'administrator';

-- Of an account that nobody has set up: who is meant by it.
-- name: SetPerson :execrows
UPDATE accounts SET kind = 'officer', name = @name, email = @email, state = 'NEW' WHERE id = @id AND (state = 'ENDED' OR state = 'NEW' AND kind = 'officer');

-- name: AwaitSetup :execrows
UPDATE accounts SET kind = 'administrator' WHERE id = @id AND state = 'NEW' AND kind = 'officer';

-- name: PutOwnTOTP :execrows
UPDATE accounts SET totp = @totp, totp_step = 0 WHERE id = @id AND kind = 'officer' AND state = 'ACTIVE';

-- name: PutSecondFactor :execrows
UPDATE accounts SET kind = 'administrator', totp_step = @step, epoch = epoch + 1 WHERE id = @id AND kind = 'officer' AND state = 'ACTIVE' AND totp = @totp;

-- name: DueSetup :exec
INSERT INTO setup_mails (account_id, due_at) VALUES (@account_id, @at) ON CONFLICT (account_id) DO UPDATE SET due_at = excluded.due_at, attempts = 0, reply = '';

-- name: SetupMailed :one
SELECT mailed_at FROM setup_mails WHERE account_id = @account_id;

-- name: SetupDue :one
SELECT account_id FROM setup_mails WHERE due_at > 0 AND due_at <= @now ORDER BY due_at, account_id LIMIT 1;

-- name: ClaimSetup :execrows
UPDATE setup_mails SET due_at = @lease_until, attempts = attempts + 1 WHERE account_id = @account_id AND due_at > 0 AND due_at <= @now;

-- name: SetupAttempts :one
SELECT attempts FROM setup_mails WHERE account_id = @account_id;

-- name: MarkSetup :execrows
UPDATE setup_mails SET mailed_at = @at WHERE account_id = @account_id AND attempts = @attempts;

-- name: PutSetup :execrows
UPDATE accounts SET setup = @setup, setup_until = @until WHERE id = @id AND state = 'NEW' AND kind = 'administrator';

-- name: SettleSetup :exec
UPDATE setup_mails SET due_at = @due_at, reply = @reply WHERE account_id = @account_id AND attempts = @attempts;

-- name: AskReset :exec
INSERT INTO account_resets (account_id, asked_by, asked_at, why) VALUES (@account_id, @asked_by, @at, @why)
ON CONFLICT (account_id) DO UPDATE SET asked_by = excluded.asked_by, asked_at = excluded.asked_at, why = excluded.why;

-- name: ResetAsked :one
SELECT account_id, asked_by, asked_at, why FROM account_resets WHERE account_id = @account_id;

-- name: Resets :many
SELECT account_id, asked_by, asked_at, why FROM account_resets WHERE asked_at > @after ORDER BY asked_at DESC, account_id LIMIT 500;

-- name: DropReset :execrows
DELETE FROM account_resets WHERE account_id = @account_id AND asked_by = @asked_by;

-- name: AppointersOf :many
SELECT DISTINCT p.appointed_by FROM appointments p JOIN accounts a ON a.id = p.account_id WHERE a.ic = @ic AND p.appointed_ic <> '' AND p.awaits = 0;

-- name: AppointedBy :many
SELECT DISTINCT account_id FROM appointments WHERE appointed_ic = @ic AND awaits = 0;

-- name: AddPasskey :execrows
INSERT INTO passkeys (id, account_id, label, data, sign_count, created_at) VALUES (@id, @account_id, @label, @data, @sign_count, @created_at) ON CONFLICT (id) DO NOTHING;

-- name: Passkeys :many
SELECT id, account_id, label, data, sign_count, created_at, used_at FROM passkeys WHERE account_id = @account_id ORDER BY created_at, id;

-- name: UsePasskey :execrows
UPDATE passkeys SET data = @data, sign_count = @sign_count, used_at = @used_at
WHERE id = @id AND (sign_count < @sign_count OR sign_count = 0 AND CAST(@sign_count AS BIGINT) = 0);

-- name: DropPasskey :execrows
DELETE FROM passkeys WHERE id = @id AND account_id = @account_id;

-- name: DropPasskeys :exec
DELETE FROM passkeys WHERE account_id = @account_id;

-- name: AddSession :exec
INSERT INTO sessions (hash, id, account_id, method, bearer, address, agent, created_at, seen_at)
VALUES (@hash, @id, @account_id, @method, @bearer, @address, @agent, @created_at, @created_at);

-- name: Session :one
SELECT hash, id, account_id, method, bearer, address, agent, created_at, seen_at FROM sessions WHERE hash = @hash;

-- name: SessionsOf :many
SELECT hash, id, account_id, method, bearer, address, agent, created_at, seen_at FROM sessions
WHERE account_id = @account_id AND created_at > @after ORDER BY created_at DESC, id;

-- name: TouchSession :exec
UPDATE sessions SET seen_at = @at WHERE hash = @hash AND seen_at < @at;

-- name: CloseSession :execrows
DELETE FROM sessions WHERE account_id = @account_id AND id = @id;

-- name: CloseSessions :execrows
DELETE FROM sessions WHERE account_id = @account_id AND id <> @but;

-- name: DropSessions :exec
DELETE FROM sessions WHERE created_at < @before;

-- name: AddLogin :exec
INSERT INTO logins (id, purpose, account_id, subject, data, keep_until) VALUES (@id, @purpose, @account_id, @subject, @data, @keep_until);

-- name: Login :one
SELECT id, purpose, account_id, subject, data, used, keep_until, nonce, channel, sent_to, issued_at, expires_at, tries_left, delivery, reply, delivery_at
FROM logins WHERE id = @id;

-- name: UseLogin :execrows
UPDATE logins SET used = 1 WHERE id = @id AND used = 0;

-- name: PutLoginCode :execrows
UPDATE logins SET nonce = @nonce, channel = @channel, sent_to = @sent_to, issued_at = @issued_at, expires_at = @expires_at, tries_left = @tries_left
WHERE id = @id AND nonce IS NULL;

-- name: WithdrawLoginCode :execrows
UPDATE logins SET expires_at = issued_at, tries_left = 0 WHERE id = @id AND nonce = @nonce AND used = 0;

-- name: ReserveLoginTry :one
UPDATE logins SET tries_left = tries_left - 1 WHERE id = @id AND nonce = @nonce AND used = 0 AND tries_left > 0 AND expires_at > @now RETURNING tries_left;

-- name: StoreLoginDelivery :execrows
UPDATE logins SET delivery = @delivery, reply = @reply, delivery_at = @at
WHERE id = @id AND nonce = @nonce AND (@delivery <> 'bounced' AND delivery IN ('', 'deferred') OR @delivery = 'bounced' AND delivery = 'sent');

-- name: LoginSends :many
SELECT l.id, l.nonce, l.issued_at, l.expires_at, l.channel, l.sent_to, l.used, l.delivery, l.reply, l.delivery_at
FROM logins l JOIN accounts a ON a.id = l.account_id
WHERE a.ic = @ic AND l.channel = 'email' ORDER BY l.issued_at DESC LIMIT @lim;

-- What was mailed is of use to the help desk for longer, until Expunge; strangers have nothing mailed.
-- name: DropLogins :exec
DELETE FROM logins WHERE keep_until < @before AND channel <> 'email';

-- name: LoginFailures :one
SELECT subject, count, until_at, at FROM login_failures WHERE subject = @subject;

-- name: PutLoginFailures :exec
INSERT INTO login_failures (subject, count, until_at, at) VALUES (@subject, @count, @until_at, @at)
ON CONFLICT (subject) DO UPDATE SET count = excluded.count, until_at = excluded.until_at, at = excluded.at;

-- name: ForgetLoginFailures :exec
DELETE FROM login_failures WHERE subject = @subject;

-- name: ClearLoginFailures :execrows
DELETE FROM login_failures WHERE subject = @subject;

-- name: DropLoginFailures :exec
DELETE FROM login_failures WHERE at < @before AND until_at < @before;
