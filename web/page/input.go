package page

import (
	"strconv"

	"github.com/a-h/templ"
)

func (i *Input) kind() string {
	if i.Type == "" {
		return "text"
	}
	return i.Type
}

// common are the attributes that every kind of field has.
func (i *Input) common() templ.Attributes {
	a := templ.Attributes{}
	if d := i.describedBy(); d != "" {
		a["aria-describedby"] = d
	}
	if i.Error != "" {
		a["aria-invalid"] = "true"
	}
	// With the form's own words instead of the browser's.
	if !i.Optional {
		a["aria-required"] = "true"
	}
	if i.Focus && i.Error == "" {
		a["autofocus"] = true
	}
	return a
}

// attributes are those of fields that are typed into.
func (i *Input) attributes() templ.Attributes {
	a := i.common()
	a["autocomplete"] = "off"
	if i.Complete != "" {
		a["autocomplete"] = i.Complete
	}
	if i.Mode != "" {
		a["inputmode"] = i.Mode
	}
	if i.Max > 0 {
		a["maxlength"] = strconv.Itoa(i.Max)
	}
	if i.Width > 0 {
		a["class"] = "w" + strconv.Itoa(i.Width)
	}
	return a
}

// current is aria-current of a step.
func current(here bool) string {
	if here {
		return "step"
	}
	return "false"
}
