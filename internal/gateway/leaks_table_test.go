//go:build !race

package gateway_test

// adminRow is one operation of administrators: whom it lets in, and whose things it is about.
//
// Adding an operation adds a row; {officer}, {system} and so on are things of a side, see
// [realm.side]. A row says nothing of what is done: other tests do.
type adminRow struct {
	// in are the roles it lets in. JDN and AUDITOR are let in to everything, SAP, SA and AP
	// to what is of their own system or agency.
	in string
	// as is the operation's address where that is not the document's with things in it: with a
	// query that names a scope.
	as string
	// body is JSON, or of contentType; "" for none.
	body, contentType string
	// everywhere: there is no scope in what is asked. Whoever is let in is let in, and must be
	// shown the own things alone.
	everywhere bool
	// rows: each row of the body has a verdict of its own, and a stranger's is refused there.
	rows bool
	// absent is what JDN is answered about what is not there, where that is not 404.
	absent int
}

const (
	anyRole = "JDN SAP SA AP AUDITOR"
	helpers = "JDN SAP SA AP"
	near    = "JDN SA AP"
	because = `{"reason":"pegawai hadir dengan MyKad"}`
	how     = `{"how":"pegawai hadir dengan MyKad"}`
	certif  = `{"system":"{system}","why":"PIN diketahui orang lain"}`
)

// adminTable is what each operation below /v1/admin answers to whom.
var adminTable = map[string]adminRow{
	"POST /v1/admin/accounts/{account}/reset":         {in: "JDN", body: because},
	"POST /v1/admin/accounts/{account}/reset/confirm": {in: "JDN", absent: 409},

	"DELETE /v1/admin/address-changes/{change}":     {in: near},
	"POST /v1/admin/address-changes/{change}/vouch": {in: near, body: because},

	"GET /v1/admin/agencies":                            {in: anyRole, everywhere: true},
	"PUT /v1/admin/agencies/{agency}":                   {in: "JDN", body: `{"name":"Nama Baharu"}`, absent: 200},
	"GET /v1/admin/appointments":                        {in: "JDN SA AUDITOR", everywhere: true},
	"POST /v1/admin/appointments":                       {in: "SA", body: `{"ic":"800101149999","name":"AISYAH BINTI OMAR","email":"aisyah@anm.gov.my","role":"AP","agency":"{agency}","document":"SURAT 1/2"}`, absent: 422},
	"DELETE /v1/admin/appointments/{appointment}":       {in: "JDN SA", as: "/v1/admin/appointments/{appointment}?document=SURAT+1/2"},
	"POST /v1/admin/appointments/{appointment}/confirm": {in: "JDN SA"},
	"POST /v1/admin/appointments/{appointment}/resend":  {in: "JDN SA"},
	"GET /v1/admin/vacancies":                           {in: "JDN AUDITOR", everywhere: true},

	"GET /v1/admin/apps":                                         {in: "JDN SAP AUDITOR", everywhere: true},
	"POST /v1/admin/apps":                                        {in: "JDN SAP", body: `{"app_id":"baharu","name":"Baharu","systems":["{system}"]}`, absent: 422},
	"GET /v1/admin/apps/{app}":                                   {in: "JDN SAP AUDITOR"},
	"PATCH /v1/admin/apps/{app}":                                 {in: "JDN SAP", body: `{"name":"Nama Baharu"}`},
	"POST /v1/admin/apps/{app}/confirm":                          {in: "JDN", body: `{"proposal_id":"{proposal}"}`},
	"POST /v1/admin/apps/{app}/credentials":                      {in: "JDN SAP", body: `{"kind":"client_secret"}`},
	"DELETE /v1/admin/apps/{app}/credentials/{credential}":       {in: "JDN SAP"},
	"POST /v1/admin/apps/{app}/credentials/{credential}/confirm": {in: "JDN"},
	"GET /v1/admin/apps/{app}/deliveries":                        {in: "JDN SAP AUDITOR"},
	"POST /v1/admin/apps/{app}/deliveries/{event}/redeliver":     {in: "JDN SAP"},
	"POST /v1/admin/apps/{app}/end":                              {in: "JDN", body: because},
	"POST /v1/admin/apps/{app}/resume":                           {in: "JDN", body: because},
	"POST /v1/admin/apps/{app}/suspend":                          {in: "JDN SAP", body: because},
	"DELETE /v1/admin/apps/{app}/webhook":                        {in: "JDN SAP"},
	"GET /v1/admin/apps/{app}/webhook":                           {in: "JDN SAP AUDITOR"},
	"POST /v1/admin/apps/{app}/webhook":                          {in: "JDN SAP", body: `{"url":"http://127.0.0.1:1025/lain"}`},
	"POST /v1/admin/apps/{app}/webhook/test":                     {in: "JDN SAP"},
	"GET /v1/admin/systems":                                      {in: anyRole, everywhere: true},
	"GET /v1/admin/systems/{system}":                             {in: anyRole, everywhere: true},
	"PATCH /v1/admin/systems/{system}":                           {in: "JDN SAP", body: `{"notice":"token"}`},
	"PUT /v1/admin/systems/{system}":                             {in: "JDN", body: `{"title":"Nama Baharu","agency":"JANM"}`, absent: 200},
	"DELETE /v1/admin/systems/{system}/logo":                     {in: "JDN SAP"},
	"PUT /v1/admin/systems/{system}/logo":                        {in: "JDN SAP", contentType: "image/png"},
	"PUT /v1/admin/systems/{system}/token-ends":                  {in: "JDN", body: `{"from":"2030-04-30T04:09:54Z"}`},

	"GET /v1/admin/work": {in: anyRole, everywhere: true},

	"GET /v1/admin/disposals":                     {in: "JDN AUDITOR", everywhere: true},
	"POST /v1/admin/disposals":                    {in: "JDN", everywhere: true, body: `{"dry_run":true}`},
	"GET /v1/admin/disposals/{disposal}":          {in: "JDN AUDITOR"},
	"POST /v1/admin/disposals/{disposal}/cancel":  {in: "JDN"},
	"POST /v1/admin/disposals/{disposal}/confirm": {in: "JDN"},
	"GET /v1/admin/disposals/{disposal}/csv":      {in: "JDN AUDITOR"},
	"GET /v1/admin/holds":                         {in: "JDN AUDITOR", everywhere: true},
	"POST /v1/admin/holds":                        {in: "JDN", body: `{"ic":"{officer}","reason":"siasatan dalaman 7/2026"}`, absent: 201},
	"POST /v1/admin/holds/{hold}/lift":            {in: "JDN", body: because},

	"GET /v1/admin/enrolments":                            {in: anyRole, as: "/v1/admin/enrolments?state=APPLIED&{scope}", absent: 200},
	"POST /v1/admin/enrolments":                           {in: "JDN SAP", body: `{"ic":"800101149999","name":"AISYAH BINTI OMAR","email":"aisyah@anm.gov.my","agency":"{agency}","system":"{system}"}`, absent: 422},
	"POST /v1/admin/enrolments/bulk":                      {in: helpers, rows: true, body: `{"step":"return","reason":"salinan MyKad kabur","enrolment_ids":["{enrolment}"]}`, absent: 200},
	"POST /v1/admin/enrolments/list":                      {in: "JDN SAP", rows: true, contentType: "text/csv", body: "no_kp,nama,emel,agensi,sistem\n800101149999,AISYAH BINTI OMAR,aisyah@anm.gov.my,{agency},{system}\n", absent: 422},
	"GET /v1/admin/enrolments/{enrolment}":                {in: anyRole},
	"POST /v1/admin/enrolments/{listed}/admit":            {in: "JDN"},
	"POST /v1/admin/enrolments/{enrolment}/approve":       {in: "JDN"},
	"POST /v1/admin/enrolments/{listed}/correct":          {in: helpers, body: `{"email":"lain@anm.gov.my"}`},
	"GET /v1/admin/enrolments/{enrolment}/mykad":          {in: helpers},
	"POST /v1/admin/enrolments/{enrolment}/reject":        {in: helpers, body: because},
	"POST /v1/admin/enrolments/{enrolment}/rekey/confirm": {in: "SAP SA AP", body: how},
	"POST /v1/admin/enrolments/{listed}/resend":           {in: helpers},
	"POST /v1/admin/enrolments/{enrolment}/return":        {in: helpers, body: because},
	"POST /v1/admin/enrolments/{enrolment}/validate":      {in: "SAP SA AP"},
	"POST /v1/admin/enrolments/{enrolment}/withdraw":      {in: helpers, body: because},

	"GET /v1/admin/resets":                                {in: "JDN AUDITOR", everywhere: true},
	"DELETE /v1/admin/accounts/{account}/reset":           {in: "JDN", absent: 409},
	"GET /v1/admin/appointments/{appointment}":            {in: "JDN SA AUDITOR"},
	"GET /v1/admin/agencies/{agency}/offices":             {in: anyRole, everywhere: true},
	"PUT /v1/admin/agencies/{agency}/offices/{office}":    {in: "JDN", body: `{"name":"Pejabat Baharu"}`},
	"DELETE /v1/admin/agencies/{agency}/offices/{office}": {in: "JDN"},
	"POST /v1/admin/systems/{system}/header":              {in: "JDN SAP", body: `{"header_template":"{digits:6}{ic}","data_header":"110123790308109903"}`},
	"GET /v1/admin/systems/{system}/tokens":               {in: "JDN SAP AUDITOR", absent: 200},
	"GET /v1/admin/officers":                              {in: anyRole, everywhere: true},
	"GET /v1/admin/officer-requests":                      {in: helpers, everywhere: true},
	"GET /v1/admin/health":                                {in: anyRole, everywhere: true},
	"GET /v1/admin/alarms":                                {in: "JDN AUDITOR", everywhere: true},
	"POST /v1/admin/alarms/{alarm}/acknowledge":           {in: "JDN", body: `{"note":"sedang dibaiki"}`},
	"GET /v1/admin/audit":                                 {in: "JDN AUDITOR", everywhere: true},
	"GET /v1/admin/audit/{seq}":                           {in: "JDN AUDITOR"},
	"GET /v1/admin/audit/export":                          {in: "JDN AUDITOR", everywhere: true},
	"GET /v1/admin/outbox":                                {in: "JDN AUDITOR", everywhere: true},
	"GET /v1/admin/outbox/{letter}":                       {in: "JDN AUDITOR"},
	"POST /v1/admin/outbox/{letter}/retry":                {in: "JDN", body: because},
	"POST /v1/admin/outbox/{letter}/drop":                 {in: "JDN", body: because},
	"GET /v1/admin/ecert-templates":                       {in: "JDN SAP AUDITOR", everywhere: true},
	"GET /v1/admin/ecert-templates/{template}":            {in: "JDN SAP AUDITOR", everywhere: true},
	"POST /v1/admin/ecert-templates/{template}/preview":   {in: "JDN SAP AUDITOR", everywhere: true, body: `{"language":"ms"}`},
	"POST /v1/admin/ecert-templates/{template}/proposals": {in: "JDN", everywhere: true, body: `{"version":0,"reason":"pegawai hadir dengan MyKad","texts":[{"key":"signatory_1","ms":"Ketua Pengarah Baharu","en":"New Director General"}]}`},
	"GET /v1/admin/ecert-versions/{version}":              {in: "JDN SAP AUDITOR", everywhere: true},
	"POST /v1/admin/ecert-versions/{version}/confirm":     {in: "JDN"},
	"POST /v1/admin/ecert-versions/{version}/reject":      {in: "JDN", body: because},
	"GET /v1/admin/batches":                               {in: "JDN SAP AUDITOR", everywhere: true},
	"GET /v1/admin/batches/{batch}/progress":              {in: "JDN SAP AUDITOR"},
	"GET /v1/admin/batches/{batch}":                       {in: "JDN SAP AUDITOR"},
	"GET /v1/admin/batches/{batch}/refusals":              {in: "JDN SAP AUDITOR"},
	"POST /v1/admin/batches/{batch}/pause":                {in: "JDN SAP", body: because},
	"POST /v1/admin/batches/{batch}/resume":               {in: "JDN SAP", body: because},
	"POST /v1/admin/batches/{batch}/cancel":               {in: "JDN SAP", body: because},
	"POST /v1/admin/batches/{batch}/retry":                {in: "JDN SAP", body: because},

	"DELETE /v1/admin/officer-requests/{request}":           {in: near},
	"POST /v1/admin/officer-requests/{request}/confirm":     {in: near, body: how},
	"GET /v1/admin/officers/{officer}":                      {in: anyRole},
	"POST /v1/admin/officers/{officer}/certificate/release": {in: helpers, body: certif},
	"POST /v1/admin/officers/{officer}/certificate/replace": {in: helpers, body: `{"system":"{system}","reason":"keyCompromise","why":"PIN diketahui orang lain"}`},
	"POST /v1/admin/officers/{officer}/certificate/revoke":  {in: helpers, body: `{"system":"{system}","reason":"keyCompromise","why":"PIN diketahui orang lain"}`},
	"POST /v1/admin/officers/{officer}/certificate/suspend": {in: helpers, body: certif},
	"GET /v1/admin/officers/{officer}/codes":                {in: "JDN SA AP"},
	"POST /v1/admin/officers/{officer}/deletion":            {in: near, body: because},
	"GET /v1/admin/officers/{officer}/email":                {in: near},
	"POST /v1/admin/officers/{officer}/email":               {in: near, body: `{"email":"lain@anm.gov.my"}`},
	"POST /v1/admin/officers/{officer}/export":              {in: "JDN", body: because},
	"GET /v1/admin/officers/{officer}/requests":             {in: helpers},
	"POST /v1/admin/officers/{officer}/retire":              {in: helpers, body: certif},
	"POST /v1/admin/officers/{officer}/transfer":            {in: helpers, body: `{"system":"{system}","agency":"KKM","why":"bertukar jabatan"}`},
	"POST /v1/admin/officers/{officer}/unlock":              {in: near, body: because},
	"POST /v1/admin/officers/{officer}/unlock-login":        {in: near, body: because, absent: 200},
	"GET /v1/admin/reports/{name}":                          {in: anyRole, as: "/v1/admin/reports/officers?{scope}", absent: 200},
	"GET /v1/admin/revocations":                             {in: anyRole, as: "/v1/admin/revocations?{scope}", absent: 200},
	"DELETE /v1/admin/revocations/{serial}":                 {in: helpers, as: "/v1/admin/revocations/{serial}?why=tidak+jadi+bertukar"},
}
