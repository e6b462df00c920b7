package lambda

import (
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/function"
)

// publishedLatest is how AWS names the version that runs on managed instances,
// whose environments are what scaling is about there. It is $LATEST here.
const publishedLatest = "$LATEST.PUBLISHED"

// scaling is the FunctionScalingConfig of AWS.
type scaling struct {
	MinExecutionEnvironments *int `json:",omitempty"`
	MaxExecutionEnvironments *int `json:",omitempty"`
}

func (s *scaling) check(v *violations) {
	v.between(s.MinExecutionEnvironments, "functionScalingConfig.minExecutionEnvironments", 0, function.MaxEnvironments)
	v.between(s.MaxExecutionEnvironments, "functionScalingConfig.maxExecutionEnvironments", 0, function.MaxEnvironments)
}

type putScalingRequest struct {
	FunctionScalingConfig *scaling
}

type putScalingAnswer struct {
	FunctionState string
}

// putScaling sets the bounds of the environments. Without a configuration it
// takes them away, as AWS does.
func (s *Service) putScaling(w http.ResponseWriter, c *call) error {
	var req putScalingRequest
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	want := req.FunctionScalingConfig
	if want == nil {
		want = &scaling{}
	}
	var v violations
	if want.check(&v); v.err() != nil {
		return v.err()
	}
	least, most := number(want.MinExecutionEnvironments), number(want.MaxExecutionEnvironments)
	if most > 0 && least > most {
		return invalidf("MinExecutionEnvironments must be less than or equal to MaxExecutionEnvironments.")
	}
	ref, err := s.scaled(c)
	if err != nil {
		return err
	}
	if _, err := s.find(c, ref); err != nil {
		return err
	}
	f, err := s.change(c, ref, "", func(v *function.Version) error {
		v.MinEnvironments, v.MaxEnvironments = least, most
		return nil
	})
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusAccepted, putScalingAnswer{string(f.State)})
	return nil
}

type getScalingAnswer struct {
	FunctionArn                    string
	AppliedFunctionScalingConfig   *scaling `json:",omitempty"`
	RequestedFunctionScalingConfig *scaling `json:",omitempty"`
}

func (s *Service) getScaling(w http.ResponseWriter, c *call) error {
	ref, err := s.scaled(c)
	if err != nil {
		return err
	}
	f, err := s.find(c, ref)
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusOK, getScalingAnswer{
		FunctionArn:                    s.arn(c, f.Name, publishedLatest),
		AppliedFunctionScalingConfig:   scalingOf(&f.Latest.Settings),
		RequestedFunctionScalingConfig: scalingOf(&f.Newest().Settings),
	})
	return nil
}

// scaled returns the function that a request about scaling names, whose
// qualifier AWS requires.
func (s *Service) scaled(c *call) (function.Ref, error) {
	ref, err := s.named(c)
	switch {
	case err != nil:
		return ref, err
	case ref.Qualifier == "":
		return ref, violation(nil, "qualifier", "Member must not be null")
	case ref.Qualifier == publishedLatest:
		ref.Qualifier = function.Latest
	}
	return ref, nil
}

// scalingOf returns the bounds that a version sets; nil: none.
func scalingOf(s *function.Settings) *scaling {
	if s.MinEnvironments == 0 && s.MaxEnvironments == 0 {
		return nil
	}
	out := &scaling{MinExecutionEnvironments: &s.MinEnvironments}
	if s.MaxEnvironments > 0 {
		out.MaxExecutionEnvironments = &s.MaxEnvironments
	}
	return out
}

func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
