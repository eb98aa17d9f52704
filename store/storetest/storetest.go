// Package storetest is the suite that every database engine of the store
// passes, and a [House]: a whole installation with keys in memory, on which
// signer, batch and the store itself are tested without cgo.
package storetest

import (
	"testing"

	"github.com/mohor-sign/mohor/store"
)

// Exercise runs the suite. Each call of open returns an empty, migrated
// database that open closes at the end of its t.
func Exercise(t *testing.T, open func(t *testing.T) *store.DB) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, h *House)
	}{
		{"CountPINLocksAndBlocks", countPIN},
		{"UncountPINTakesBack", uncountPIN},
		{"CountPINGrantsParallelCallers", countPINParallel},
		{"UnlockPINClears", unlockPIN},
		{"KeyHistory", keyHistory},
		{"ResealHasOneWinner", reseal},
		{"RevokeDestroysTheKey", revokeDestroys},
		{"SuspendedAndReleased", suspension},
		{"SuspensionHasOneWinner", suspensionAtOnce},
		{"ScheduledRevocations", scheduled},
		{"StoreChallengeLimits", challengeLimits},
		{"StoreChallengeIsFairToApps", challengeFair},
		{"StoreChallengeKillsTheOldOne", challengeReplaced},
		{"StoreChallengeOfWhatEnded", challengeEnded},
		{"WithdrawLeavesNoCount", withdraw},
		{"RefusedCountsAsSent", withdrawRefused},
		{"ReserveTryGrantsExactly", reserveTry},
		{"DeliveryOfEachCode", deliveries},
		{"BouncesOfWhatWasSent", bounces},
		{"NoticesOfDeeds", noticesOfDeeds},
		{"AlarmsOfDisowned", alarms},
		{"OutboxLeases", outbox},
		{"WebhookEvents", webhookEvents},
		{"WebhookOutbox", webhookOutbox},
		{"WebhookOfEnded", webhookOfEnded},
		{"CredentialSaysWhatIsMissing", credential},
		{"OneLiveTransactionABatch", oneLive},
		{"RecordIntentHasOneWinner", recordIntent},
		{"RecordIntentIsOneTransaction", recordIntentWhole},
		{"SignatoriesInOrder", signatoriesInOrder},
		{"SignatoriesSignTheSame", signatoriesSignTheSame},
		{"SignatoriesAtOnce", signatoriesAtOnce},
		{"SignatoriesOfCopies", signatoriesOfCopies},
		{"SignatoriesOfEditedProcess", signatoriesOfEditedProcess},
		{"SignatoriesLeftBehind", signatoriesLeftBehind},
		{"SignatoriesOfMany", signatoriesOfMany},
		{"InboxInPages", inbox},
		{"ClaimsAreFenced", claims},
		{"CompleteRefusesRevoked", completeRevoked},
		{"CompleteEnds", completeEnds},
		{"AbandonTwice", abandon},
		{"ResumeReleasesClaims", resume},
		{"AuthorisedIsWhatTheIntentFound", authorised},
		{"RequestWithItsFirstCode", firstCode},
		{"AcceptedEvents", accepted},
		{"CancelRequest", cancelRequest},
		{"LinksAreUsedOnce", links},
		{"PagesAreOpenedOnce", pages},
		{"DisownOrSign", disownOrSign},
		{"BatchIntake", batchIntake},
		{"BatchPages", batchPages},
		{"BatchCancel", batchCancel},
		{"Documents", documents},
		{"Certificates", certificates},
		{"People", people},
		{"Apps", apps},
		{"AppCredentials", appCredentials},
		{"AppTokens", appTokens},
		{"Systems", systems},
		{"Accounts", accounts},
		{"AddressChanges", addressChanges},
		{"Leaving", leaving},
		{"LoginFailures", loginFailures},
		{"LoginCodes", loginCodes},
		{"EnrolmentRegister", enrolmentRegister},
		{"Supersede", supersede},
		{"SupersedeRevoked", supersedeRevoked},
		{"Reminders", reminders},
		{"CertificateNotices", certificateNotices},
		{"EnrolmentClaims", enrolmentClaims},
		{"EnrolmentKeys", enrolmentKeys},
		{"EnrolmentKEK", enrolmentKEK},
		{"EnrolmentCorrect", enrolmentCorrect},
		{"Reports", reports},
		{"Archives", archives},
		{"ArchivesCrash", archivesCrash},
		{"Expunge", expunge},
		{"Disposal", disposal},
		{"Subject", subject},
		{"Replies", replies},
		{"RepliesCutOff", repliesCutOff},
		{"Meta", meta},
		{"AuditChain", auditChain},
		{"NoAuditNoAction", noAuditNoAction},
		{"TextThatCannotBe", strangeText},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, NewHouse(t, open(t))) })
	}
}
