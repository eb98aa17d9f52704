package sandbox

import (
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/pquerna/otp/totp"
)

//go:embed administrators.html.tmpl
var administratorsTemplate string

var administratorsPage = template.Must(template.New("administrators").Parse(administratorsTemplate))

// totpStep is how long a code of an authenticator app is shown.
const totpStep = 30 * time.Second

// administratorRow is an administrator as the page shows one, secrets in clear.
type administratorRow struct {
	DevAdministrator
	Password, Code string
}

// AdministratorRoutes adds GET /dev/administrators to r, behind [LoopbackOnly]: who can log in to the
// console, with password and the code that an authenticator app would show at now. They are those of
// the sandbox file at path, which is read each time.
func AdministratorRoutes(r chi.Router, path string, now func() time.Time, log *slog.Logger) {
	r.With(LoopbackOnly, private).Get("/dev/administrators", func(w http.ResponseWriter, _ *http.Request) {
		f, err := ReadDevFile(path)
		if err != nil {
			log.Error("the sandbox's administrators could not be read", "error", err)
			http.Error(w, "Ralat dalaman / Internal error", http.StatusInternalServerError)
			return
		}
		at := now()
		var rows []administratorRow
		for _, a := range f.Administrators {
			code, err := totp.GenerateCode(string(a.TOTP.Reveal()), at)
			if err != nil {
				log.Error("a sandbox administrator's code could not be made", "error", err) // never its seed
				continue
			}
			rows = append(rows, administratorRow{a, string(a.Password.Reveal()), code})
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// An error here means that the reader has gone.
		_ = administratorsPage.Execute(w, struct {
			Rows []administratorRow
			Left int
		}{rows, int((totpStep - at.Sub(at.Truncate(totpStep))).Seconds())})
	})
}
