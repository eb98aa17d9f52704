package syntax

import "fmt"

// Field is a signature field reachable from the catalog's /AcroForm.
type Field struct {
	Name   string // fully qualified (ISO 32000-2, Section 12.7.4.2), in UTF-8
	Object *Object
	// V is the field's value: a reference or a dictionary, Null when the field
	// is empty.
	V Value
	// Terminal fields have no /Kids.
	Terminal bool
}

// Form is the interactive form of a document.
type Form struct {
	// Object holds the form dictionary: the catalog, or an object of its own.
	// nil when the document has no form.
	Object *Object
	Dict   Value
	// Fields are the signature fields in the order of the tree.
	Fields []Field
	// Names are the partial names of the fields at the root of the tree.
	Names map[string]bool
	// nodes has the numbers of all objects in the field tree.
	nodes set
}

// Form reads the field tree below the catalog. It refuses cycles and nodes
// reached twice.
func (f *File) Form(catalog *Object) (*Form, error) {
	form := &Form{Names: make(map[string]bool)}
	v := catalog.Value.Key("AcroForm")
	if v.Kind == Null {
		return form, nil
	}
	o, err := f.Resolve(v)
	if err != nil {
		return nil, fmt.Errorf("reading form: %w", err)
	}
	if o.Value.Kind == Null {
		return form, nil
	}
	if o.Value.Kind != Dictionary || o.Data != 0 {
		return nil, invalid(v.Start, "form is no dictionary")
	}
	form.Dict = o.Value
	if form.Object = o; v.Kind != Reference {
		form.Object = catalog
	}
	fields, err := f.resolve(form.Dict.Key("Fields"))
	if err != nil {
		return nil, err
	}
	if fields.Kind != Array && fields.Kind != Null {
		return nil, invalid(form.Dict.Start, "malformed /Fields")
	}
	w := fieldWalker{f: f, form: form}
	for _, ref := range fields.Array {
		if err := w.node(ref, Value{}, "", 0); err != nil {
			return nil, err
		}
	}
	return form, nil
}

type fieldWalker struct {
	f     *File
	form  *Form
	count int
	kept  int // bytes of what the form keeps
}

func (w *fieldWalker) keep(n int, at int64) error {
	if w.kept += n; w.kept > maxKept {
		return tooLarge(at, "signature fields and names of more than %d bytes", maxKept)
	}
	return nil
}

func (w *fieldWalker) node(ref, kind Value, parent string, depth int) error {
	if ref.Kind != Reference {
		return invalid(ref.Start, "field is no reference")
	}
	if depth > MaxDepth {
		return tooLarge(ref.Start, "field tree deeper than %d", MaxDepth)
	}
	if w.count++; w.count > MaxFields {
		return tooLarge(ref.Start, "more than %d fields", MaxFields)
	}
	if !w.form.nodes.add(uint32(ref.Int)) {
		return invalid(ref.Start, "field tree reaches object %d twice", ref.Int)
	}
	o, err := w.f.Load(uint32(ref.Int), ref.Gen)
	if err != nil {
		return fmt.Errorf("reading field: %w", err)
	}
	if o.Value.Kind == Null {
		return nil
	}
	if o.Value.Kind != Dictionary || o.Data != 0 {
		return invalid(ref.Start, "field %d is no dictionary", o.Num)
	}
	name, err := w.name(o, parent, depth)
	if err != nil {
		return err
	}
	if own, err := w.f.resolve(o.Value.Key("FT")); err != nil {
		return err
	} else if own.Kind != Null {
		kind = own
	}
	kids, err := w.f.resolve(o.Value.Key("Kids"))
	if err != nil {
		return err
	}
	if kind.IsName("Sig") {
		if err := w.signature(o, name, len(kids.Array) == 0); err != nil {
			return err
		}
	}
	for _, kid := range kids.Array {
		if err := w.node(kid, kind, name, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *fieldWalker) name(o *Object, parent string, depth int) (string, error) {
	t, err := w.f.resolve(o.Value.Key("T"))
	if err != nil {
		return "", err
	}
	if t.Kind != String {
		return parent, nil // a widget of its parent
	}
	if len(t.Bytes) > maxName || len(parent) > maxName {
		return "", tooLarge(o.Value.Start, "field name longer than %d bytes", maxName)
	}
	part := Text(t.Bytes)
	if depth == 0 {
		w.form.Names[part] = true
		return part, w.keep(len(part)+64, o.Value.Start)
	}
	if parent == "" {
		return part, nil
	}
	return parent + "." + part, nil
}

func (w *fieldWalker) signature(o *Object, name string, terminal bool) error {
	field := Field{Name: name, Object: o, Terminal: terminal}
	v := o.Value.Key("V")
	value, err := w.f.resolve(v)
	if err != nil {
		return fmt.Errorf("reading signature: %w", err)
	}
	if value.Kind != Null { // a reference to a free object is an empty field
		field.V = v
	}
	if field.V.Kind == Null {
		if t, err := w.f.resolve(o.Value.Key("T")); err != nil || t.Kind == Null {
			return err // a widget
		}
	}
	w.form.Fields = append(w.form.Fields, field)
	return w.keep(o.kept()+len(name)+256, o.Value.Start)
}

// Has says whether the object is part of the field tree.
func (f *Form) Has(num uint32) bool { return f.nodes.has(num) }
