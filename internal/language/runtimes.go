package language

import "slices"

// identifiers lists the runtimes that AWS Lambda's API accepts for new
// functions, in the order in which its error messages name them.
var identifiers = []string{
	"nodejs16.x", "nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "nodejs26.x",
	"python3.8", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "python3.15",
	"java8.al2", "java8.al2023", "java11", "java11.al2023", "java17", "java17.al2023", "java21", "java25",
	"ruby3.2", "ruby3.3", "ruby3.4", "ruby4.0",
	"dotnet6", "dotnet8", "dotnet10",
	"provided.al2", "provided.al2023",
}

// deprecated lists the identifiers that AWS Lambda knows and no longer accepts,
// with what takes their place.
var deprecated = map[string]string{
	"nodejs": "nodejs22.x", "nodejs4.3": "nodejs22.x", "nodejs4.3-edge": "nodejs22.x", "nodejs6.10": "nodejs22.x",
	"nodejs8.10": "nodejs22.x", "nodejs10.x": "nodejs22.x", "nodejs12.x": "nodejs22.x", "nodejs14.x": "nodejs22.x",
	"python2.7": "python3.13", "python3.6": "python3.13", "python3.7": "python3.13",
	"java8": "java21", "ruby2.5": "ruby3.4", "ruby2.7": "ruby3.4",
	"dotnetcore1.0": "dotnet8", "dotnetcore2.0": "dotnet8", "dotnetcore2.1": "dotnet8", "dotnetcore3.1": "dotnet8",
	"go1.x": "provided.al2023", "provided": "provided.al2023",
}

// Identifiers returns the runtime identifiers that AWS Lambda accepts for new
// functions. Which of them this platform and this machine can serve is
// [Resolve]'s question.
func Identifiers() []string { return slices.Clone(identifiers) }

// Deprecated reports whether AWS Lambda once had the runtime identifier and no
// longer accepts it.
func Deprecated(runtime string) bool { return deprecated[runtime] != "" }

// The oldest versions that the shims work on.
var oldest = map[Family]release{
	Node:   {18, 0, 0},
	Python: {3, 8, 0},
}
