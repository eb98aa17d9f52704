package page

// hasPicture says whether there is a security image of that name.
func hasPicture(name string) bool { return shelf()["images/"+name+".svg"] != nil }
