package page

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v3"

	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/myt"
)

//go:embed catalogue/*.yaml
var catalogues embed.FS

// words are the catalogues of one language.
type words struct {
	language  string
	localizer *i18n.Localizer
}

// vocabulary reads the catalogues once. They are part of the program: a test reads them all,
// so that a program that panics here was never released.
var vocabulary = sync.OnceValue(func() map[string]*words {
	b := i18n.NewBundle(language.Malay)
	b.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	names, err := fs.Glob(catalogues, "catalogue/*.yaml")
	for k := 0; err == nil && k < len(names); k++ {
		_, err = b.LoadMessageFileFS(catalogues, names[k])
	}
	if err != nil {
		panic(fmt.Errorf("reading the catalogues of pages: %w", err))
	}
	all := make(map[string]*words)
	for _, l := range []string{Malay, English} {
		all[l] = &words{l, i18n.NewLocalizer(b, l)}
	}
	return all
})

func wordsOf(language string) *words { return vocabulary()[language] }

// T is what the catalogues have under id in the language of the page. args are names and values
// for its {{.Name}}; "Count" with a whole number chooses the plural. What is not there shows its id,
// and a test finds it.
func T(ctx context.Context, id string, args ...any) string {
	c := i18n.LocalizeConfig{MessageID: id}
	if len(args) > 0 {
		data := make(map[string]any, len(args)/2)
		for k := 0; k+1 < len(args); k += 2 {
			name, _ := args[k].(string)
			data[name] = args[k+1]
			if name == "Count" {
				c.PluralCount = args[k+1]
			}
		}
		c.TemplateData = data
	}
	text, err := visitOf(ctx).words.localizer.Localize(&c)
	if err != nil {
		return id
	}
	return text
}

// Has says whether the catalogues have words under id in the language of the page.
func Has(ctx context.Context, id string) bool {
	_, err := visitOf(ctx).words.localizer.Localize(&i18n.LocalizeConfig{MessageID: id})
	return err == nil
}

// Pick is one of two texts that are at hand in both languages.
func Pick(ctx context.Context, ms, en string) string {
	if Language(ctx) == English {
		return en
	}
	return ms
}

// Days and months as people write them.
var (
	monthsMS = [...]string{"Januari", "Februari", "Mac", "April", "Mei", "Jun", "Julai", "Ogos", "September", "Oktober", "November", "Disember"}
	monthsEN = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
)

// Day writes the day of an instant in Malaysian time: 30 April 2026.
func Day(ctx context.Context, t time.Time) string {
	t = t.In(myt.Zone)
	months := &monthsMS
	if Language(ctx) == English {
		months = &monthsEN
	}
	return fmt.Sprintf("%d %s %d", t.Day(), months[t.Month()-1], t.Year())
}

// Moment writes an instant in Malaysian time: 30 April 2026, 12:09:54 MYT.
func Moment(ctx context.Context, t time.Time) string {
	return Day(ctx, t) + t.In(myt.Zone).Format(", 15:04:05 MST")
}

// IC writes an identity card number as it is printed, 900101-14-5678; what is none, as it is.
func IC(ic string) string { return mykad.Number(ic).Dashed() }

// Number writes a whole number with commas at the thousands, as both languages do.
func Number[N int | int64 | uint32](n N) string {
	digits, sign := strconv.FormatInt(int64(n), 10), ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for k := len(digits) - 3; k > 0; k -= 3 {
		digits = digits[:k] + "," + digits[k:]
	}
	return sign + digits
}
