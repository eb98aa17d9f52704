package pdf

import (
	"fmt"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// placeField makes the signature object the value of a field: an existing
// empty one, or a new one.
func (d *Document) placeField(c *increment, o Options, sig uint32) error {
	for _, f := range d.form.Fields {
		if o.Field != "" && f.Name == o.Field {
			if err := d.fillField(c, f, o, sig); err != nil {
				return err
			}
			return d.flagForm(c, "")
		}
	}
	name := o.Field
	if d.form.Names[name] {
		return refuse("the field named exists and is no empty signature field")
	}
	for n := 1; name == ""; n++ {
		if s := fmt.Sprintf("Signature%d", n); !d.form.Names[s] {
			name = s
		}
	}
	widget, err := c.reserve(1)
	if err != nil {
		return err
	}
	if err := d.newField(c, o, name, sig, widget); err != nil {
		return err
	}
	return d.flagForm(c, fmt.Sprintf("%d 0 R", widget))
}

// fillField signs an existing empty field.
func (d *Document) fillField(c *increment, f syntax.Field, o Options, sig uint32) error {
	v := f.Object.Value
	for _, key := range []string{"Lock", "SV"} {
		if v.Key(key).Kind != syntax.Null {
			return syntax.Errorf(ErrUnsupported, v.Key(key).Start, "signature field with /%s", key)
		}
	}
	if !f.Terminal {
		return syntax.Errorf(ErrUnsupported, v.Start, "signature field with /Kids")
	}
	if o.Visible != nil {
		return syntax.Errorf(ErrUnsupported, v.Start, "appearance in an existing field")
	}
	// A null /V is there already, or is none at all.
	for _, e := range v.Dict {
		if e.Key == "V" {
			c.replace(f.Object, e.Value, fmt.Sprintf("%d 0 R", sig))
			return nil
		}
	}
	c.entry(f.Object, v, fmt.Sprintf("/V %d 0 R", sig))
	return nil
}

// newField makes a field that is its own widget annotation (ISO 32000-2,
// Section 12.7.5.5), printed and locked.
func (d *Document) newField(c *increment, o Options, name string, sig, widget uint32) error {
	visible, err := d.anchored(o.Visible)
	if err != nil {
		return err
	}
	number := 1
	if visible != nil {
		if number = visible.Page; number == -1 {
			number = len(d.tree.Pages)
		}
	}
	if number < 1 || number > len(d.tree.Pages) {
		return refuse("no page %d", number)
	}
	page := d.tree.Pages[number-1]
	object, err := d.file.Load(page.Num, page.Gen)
	if err != nil {
		return fmt.Errorf("reading page: %w", err)
	}
	var place string
	if visible == nil {
		place, err = invisible(c, d.archive())
	} else if geometry, e := d.file.Geometry(page, object); e != nil {
		err = e
	} else {
		place, err = visible.appear(c, geometry, d.archive())
	}
	if err != nil {
		return err
	}
	c.add(widget, fmt.Appendf(nil, "<</Type/Annot/Subtype/Widget/FT/Sig/T%s/F 132/P %d %d R/V %d 0 R%s>>",
		textString(name), page.Num, page.Gen, sig, place))
	return d.annotate(c, page, object, fmt.Sprintf("%d 0 R", widget))
}

// annotate adds the widget to the annotations of the page.
func (d *Document) annotate(c *increment, page syntax.Page, object *syntax.Object, widget string) error {
	annots := object.Value.Key("Annots")
	array, err := d.file.Resolve(annots)
	if err != nil {
		return fmt.Errorf("reading annotations: %w", err)
	}
	if k := array.Value.Kind; k != syntax.Array && k != syntax.Null {
		return syntax.Errorf(ErrInvalid, object.Value.Start, "malformed /Annots")
	}
	present := false
	for _, e := range object.Value.Dict {
		present = present || e.Key == "Annots"
	}
	shared := 0
	for _, p := range d.tree.Pages {
		if page.Annot != 0 && p.Annot == page.Annot {
			shared++
		}
	}
	switch {
	case !present:
		c.entry(object, object.Value, "/Annots["+widget+"]")
	case array.Value.Kind == syntax.Null:
		c.replace(object, annots, "["+widget+"]")
	case annots.Kind == syntax.Array:
		c.element(object, annots, widget)
	case shared > 1: // the widget must not show on the other pages
		raw := array.Raw(array.Value)
		c.replace(object, annots, string(raw[:len(raw)-1])+"\n"+widget+"]")
	default:
		c.element(array, array.Value, widget)
	}
	return nil
}

// flagForm adds a field, unless empty, to the form and says in /SigFlags that
// signatures exist and that the file is to be appended to (ISO 32000-2, Table
// 225). Everything else in the form stays.
func (d *Document) flagForm(c *increment, field string) error {
	form, dict := d.form.Object, d.form.Dict
	if form == nil {
		text := "<</Fields[" + field + "]/SigFlags 3>>"
		catalog := d.tree.Catalog
		for _, e := range catalog.Value.Dict {
			if e.Key == "AcroForm" { // null, or of an object that does not exist
				c.replace(catalog, e.Value, text)
				return nil
			}
		}
		c.entry(catalog, catalog.Value, "/AcroForm"+text)
		return nil
	}
	if field != "" {
		if err := d.extendFields(c, form, dict, field); err != nil {
			return err
		}
	}
	flags, err := d.file.Resolve(dict.Key("SigFlags"))
	if err != nil {
		return err
	}
	n := flags.Value.Int | 3
	for _, e := range dict.Dict {
		if e.Key == "SigFlags" {
			c.replace(form, e.Value, fmt.Sprint(n))
			return nil
		}
	}
	c.entry(form, dict, fmt.Sprintf("/SigFlags %d", n))
	return nil
}

func (d *Document) extendFields(c *increment, form *syntax.Object, dict syntax.Value, field string) error {
	for _, e := range dict.Dict {
		if e.Key != "Fields" {
			continue
		}
		array, err := d.file.Resolve(e.Value)
		switch {
		case err != nil:
			return err
		case e.Value.Kind == syntax.Array:
			c.element(form, e.Value, field)
		case array.Value.Kind == syntax.Array:
			c.element(array, array.Value, field)
		default:
			c.replace(form, e.Value, "["+field+"]")
		}
		return nil
	}
	c.entry(form, dict, "/Fields["+field+"]")
	return nil
}
