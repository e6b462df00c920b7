package function

// Ref names what to invoke or change: a function, and which of its versions.
type Ref struct {
	Namespace string
	Name      string
	// Qualifier is a version number, an alias, [Latest], or empty for the
	// function itself.
	Qualifier string
}

func (r Ref) String() string {
	if r.Qualifier == "" {
		return r.Name
	}
	return r.Name + ":" + r.Qualifier
}

// ARN is a function's Amazon Resource Name, which user code and AWS clients see.
type ARN struct {
	Partition, Region, Account string
	Name, Qualifier            string
}

// String returns arn:aws:lambda:us-east-1:000000000000:function:name, with
// :qualifier if there is one.
func (a ARN) String() string {
	s := "arn:" + a.Partition + ":lambda:" + a.Region + ":" + a.Account + ":function:" + a.Name
	if a.Qualifier != "" {
		s += ":" + a.Qualifier
	}
	return s
}
