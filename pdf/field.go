package pdf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// target is the field a signature is to be the value of.
type target struct {
	name string
	// An existing field, and its widget if it has one.
	field  *syntax.Field
	widget *syntax.Object
	// Otherwise the node of the field tree to go below, nil at the root, and the
	// partial names of the nodes to be made.
	parent *syntax.Object
	parts  []string
	flags  int64 // /Ff the field inherits
	// lock is what the signature will lock, permission the /P of the field's own.
	lock       *Lock
	permission int64
}

// target finds the field, or the place in the field tree for a new one. New
// fields without a name are called stem and a number.
func (d *Document) target(o *Options, stem string) (*target, error) {
	t := &target{name: o.Field, lock: o.Lock}
	for n := 1; t.name == ""; n++ {
		if s := fmt.Sprintf("%s%d", stem, n); !d.form.Names[s] {
			t.name = s
		}
	}
	for i := range d.form.Fields {
		f := &d.form.Fields[i]
		if f.Name != t.name {
			continue
		}
		if t.field != nil {
			return nil, syntax.Errorf(ErrInvalid, f.Object.Value.Start, "two fields have the name given")
		}
		t.field = f
	}
	if t.field != nil {
		return t, d.existing(t)
	}
	return t, d.vacant(t)
}

// existing checks an existing field.
func (d *Document) existing(t *target) error {
	v := t.field.Object.Value
	if t.field.V.Kind != syntax.Null {
		return refuse("the field is signed already")
	}
	flags, err := d.inherited(t.field.Object)
	if err != nil {
		return err
	}
	if flags&1 != 0 {
		return refuse("the field is read-only")
	}
	if err := d.findWidget(t); err != nil {
		return err
	}
	own, permission, err := d.lock(v.Key("Lock"))
	if err != nil {
		return err
	}
	if own == nil {
		return nil
	}
	if t.lock != nil {
		return refuse("the field has a lock of its own")
	}
	t.lock, t.permission = own, permission
	return nil
}

// inherited returns the /Ff of a node, its own or that of an ancestor (ISO
// 32000-2, Section 12.7.4.1). A value to be inherited is refused: readers may
// take it for the signature.
func (d *Document) inherited(node *syntax.Object) (flags int64, err error) {
	for found := false; ; {
		ff, err := d.file.Resolve(node.Value.Key("Ff"))
		if err != nil {
			return 0, err
		}
		if k := ff.Value.Kind; k != syntax.Null && k != syntax.Integer {
			return 0, syntax.Errorf(ErrInvalid, node.Value.Start, "malformed /Ff")
		} else if k == syntax.Integer && !found {
			flags, found = ff.Value.Int, true
		}
		if v, err := d.file.Resolve(node.Value.Key("V")); err != nil {
			return 0, err
		} else if v.Value.Kind != syntax.Null {
			return 0, syntax.Errorf(ErrUnsupported, node.Value.Start, "a field above the one named has a value")
		}
		parent := node.Value.Key("Parent")
		if parent.Kind != syntax.Reference {
			return flags, nil
		}
		// The tree has no cycle going down. Going up it has none either when each
		// node is among the kids of the next.
		up, err := d.file.Resolve(parent)
		if err != nil {
			return 0, fmt.Errorf("reading field: %w", err)
		}
		if !d.form.Has(up.Num) || !d.isKid(up, node.Num) {
			return 0, syntax.Errorf(ErrInvalid, parent.Start, "/Parent of a field does not have it in /Kids")
		}
		node = up
	}
}

func (d *Document) isKid(parent *syntax.Object, num uint32) bool {
	kids, err := d.file.Resolve(parent.Value.Key("Kids"))
	return err == nil && slices.ContainsFunc(kids.Value.Array, func(v syntax.Value) bool {
		return v.Kind == syntax.Reference && v.Int == int64(num)
	})
}

// findWidget finds the annotation of an existing field: the field itself, or
// its only kid (ISO 32000-2, Section 12.5.6.19).
func (d *Document) findWidget(t *target) error {
	o := t.field.Object
	if t.field.Terminal {
		if o.Value.Key("Rect").Kind != syntax.Null {
			t.widget = o
		}
		return nil
	}
	kids, err := d.file.Resolve(o.Value.Key("Kids"))
	if err != nil {
		return err
	}
	kid, err := d.file.Resolve(kids.Value.Array[0])
	if err != nil {
		return err
	}
	if len(kids.Value.Array) != 1 || kid.Value.Key("T").Kind != syntax.Null {
		return syntax.Errorf(ErrUnsupported, o.Value.Start, "signature field with several /Kids or fields below it")
	}
	t.widget = kid
	return nil
}

// vacant finds the place of a new field in the field tree.
func (d *Document) vacant(t *target) error {
	t.parts = strings.Split(t.name, ".")
	if slices.Contains(t.parts, "") {
		return refuse("empty part in the name of the field")
	}
	if d.form.Names[t.name] {
		return refuse("the field named exists and is no empty signature field")
	}
	if !d.form.Names[t.parts[0]] {
		return nil
	}
	for kids := d.form.Dict.Key("Fields"); ; kids = t.parent.Value.Key("Kids") {
		node, err := d.child(kids, t.parts[0])
		if err != nil {
			return err
		}
		if node == nil {
			break
		}
		if t.parent, t.parts = node, t.parts[1:]; len(t.parts) == 0 {
			return refuse("the field named exists and is no empty signature field")
		}
	}
	group, err := d.group(t.parent)
	if err != nil {
		return err
	}
	if !group {
		return refuse("the name is below that of a field which is no group")
	}
	t.flags, err = d.inherited(t.parent)
	return err
}

// child finds the node with a partial name in /Kids or /Fields.
func (d *Document) child(kids syntax.Value, part string) (found *syntax.Object, err error) {
	array, err := d.file.Resolve(kids)
	if err != nil {
		return nil, err
	}
	for _, ref := range array.Value.Array {
		o, err := d.file.Resolve(ref)
		if err != nil {
			return nil, fmt.Errorf("reading field: %w", err)
		}
		name, err := d.file.Resolve(o.Value.Key("T"))
		if err != nil {
			return nil, err
		}
		if name.Value.Kind != syntax.String || syntax.Text(name.Value.Bytes) != part {
			continue
		}
		if found != nil {
			return nil, syntax.Errorf(ErrInvalid, o.Value.Start, "two fields have the name given")
		}
		found = o
	}
	return found, nil
}

// group says whether fields may go below a node: it has fields there, or
// nothing and no type.
func (d *Document) group(node *syntax.Object) (bool, error) {
	kids, err := d.file.Resolve(node.Value.Key("Kids"))
	if err != nil {
		return false, err
	}
	if len(kids.Value.Array) == 0 {
		return node.Value.Key("FT").Kind == syntax.Null && node.Value.Key("Subtype").Kind == syntax.Null, nil
	}
	for _, ref := range kids.Value.Array {
		kid, err := d.file.Resolve(ref)
		if err != nil || kid.Value.Key("T").Kind == syntax.Null {
			return false, err
		}
	}
	return true, nil
}

// sign makes the signature object the value of the field.
func (d *Document) sign(c *increment, t *target, o *Options, sig uint32) error {
	if t.field == nil {
		return d.newField(c, t, o, sig)
	}
	field := t.field.Object
	if err := c.set(field, field.Value, "V", fmt.Sprintf("%d 0 R", sig)); err != nil {
		return err
	}
	if o.Visible != nil {
		if err := d.show(c, t, *o.Visible); err != nil {
			return err
		}
	}
	return d.flagForm(c, "")
}

// newField makes a field that is its own widget annotation (ISO 32000-2,
// Section 12.7.5.5), printed and locked, and the nodes above it.
func (d *Document) newField(c *increment, t *target, o *Options, sig uint32) error {
	visible, err := d.anchored(o.Visible)
	if err != nil {
		return err
	}
	page, object, err := d.pageOf(visible)
	if err != nil {
		return err
	}
	place, err := d.place(c, visible, page, object)
	if err != nil {
		return err
	}
	first, err := c.reserve(len(t.parts))
	if err != nil {
		return err
	}
	widget := first + uint32(len(t.parts)) - 1
	if t.lock != nil {
		lock, err := c.reserve(1)
		if err != nil {
			return err
		}
		c.add(lock, []byte("<</Type/SigFieldLock"+t.lock.entries()+">>"))
		place += fmt.Sprintf("/Lock %d 0 R", lock)
	}
	if t.flags != 0 {
		place += "/Ff 0"
	}
	above := ""
	if t.parent != nil {
		above = fmt.Sprintf("/Parent %d %d R", t.parent.Num, t.parent.Gen)
	}
	for num := first; num < widget; num++ {
		c.add(num, fmt.Appendf(nil, "<</T%s%s/Kids[%d 0 R]>>", textString(t.parts[num-first]), above, num+1))
		above = fmt.Sprintf("/Parent %d 0 R", num)
	}
	c.add(widget, fmt.Appendf(nil, "<</Type/Annot/Subtype/Widget/FT/Sig/T%s%s/F 132/P %d %d R/V %d 0 R%s>>",
		textString(t.parts[len(t.parts)-1]), above, page.Num, page.Gen, sig, place))
	if err := d.annotate(c, page, object, fmt.Sprintf("%d 0 R", widget)); err != nil {
		return err
	}
	if t.parent == nil {
		return d.flagForm(c, fmt.Sprintf("%d 0 R", first))
	}
	if err := d.append(c, t.parent, t.parent.Value, "Kids", fmt.Sprintf("%d 0 R", first)); err != nil {
		return err
	}
	return d.flagForm(c, "")
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
	shared := 0
	for _, p := range d.tree.Pages {
		if page.Annot != 0 && p.Annot == page.Annot {
			shared++
		}
	}
	switch {
	case array.Value.Kind == syntax.Null:
		return c.set(object, object.Value, "Annots", "["+widget+"]")
	case annots.Kind == syntax.Array:
		c.element(object, annots, widget)
	case shared > 1: // the widget must not show on the other pages
		plain, err := d.file.Plain(array, array.Value)
		if err != nil {
			return err
		}
		c.replace(object, annots, string(plain[:len(plain)-1])+"\n"+widget+"]")
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
		catalog := d.tree.Catalog
		return c.set(catalog, catalog.Value, "AcroForm", "<</Fields["+field+"]/SigFlags 3>>")
	}
	if field != "" {
		if err := d.append(c, form, dict, "Fields", field); err != nil {
			return err
		}
	}
	flags, err := d.file.Resolve(dict.Key("SigFlags"))
	if err != nil {
		return err
	}
	if n := flags.Value.Int | 3; n != flags.Value.Int {
		return c.set(form, dict, "SigFlags", fmt.Sprint(n))
	}
	return nil
}

// append adds an element to the array a dictionary has under the key, direct
// or not, and makes the array where there is none.
func (d *Document) append(c *increment, o *syntax.Object, dict syntax.Value, key, element string) error {
	v := dict.Key(key)
	array, err := d.file.Resolve(v)
	switch {
	case err != nil:
		return err
	case v.Kind == syntax.Array:
		c.element(o, v, element)
	case array.Value.Kind == syntax.Array:
		c.element(array, array.Value, element)
	case array.Value.Kind == syntax.Null:
		return c.set(o, dict, key, "["+element+"]")
	default:
		return syntax.Errorf(ErrInvalid, v.Start, "array expected")
	}
	return nil
}
