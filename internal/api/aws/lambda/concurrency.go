package lambda

import (
	"math"
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

func (s *Service) putConcurrency(w http.ResponseWriter, c *call) error {
	var req concurrency
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	var v violations
	if req.ReservedConcurrentExecutions == nil {
		v.add(nil, "reservedConcurrentExecutions", "Member must not be null")
	}
	v.between(req.ReservedConcurrentExecutions, "reservedConcurrentExecutions", 0, math.MaxInt32)
	if err := v.err(); err != nil {
		return err
	}
	ref, err := s.unqualified(c)
	if err != nil {
		return err
	}
	all, _ := s.Catalog.Functions(ref.Namespace, "", math.MaxInt)
	if reserved(all, ref.Name)+*req.ReservedConcurrentExecutions > s.Concurrency {
		return invalidf("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [0].")
	}
	if err := s.reserve(c, ref, req.ReservedConcurrentExecutions); err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusOK, req)
	return nil
}

func (s *Service) getConcurrency(w http.ResponseWriter, c *call) error {
	ref, err := s.unqualified(c)
	if err != nil {
		return err
	}
	f, err := s.find(c, ref)
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusOK, concurrency{f.ReservedConcurrency})
	return nil
}

func (s *Service) deleteConcurrency(w http.ResponseWriter, c *call) error {
	ref, err := s.unqualified(c)
	if err != nil {
		return err
	}
	if err := s.reserve(c, ref, nil); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) reserve(c *call, ref function.Ref, n *int) error {
	_, err := s.Catalog.Update(c.Context(), ref.Namespace, ref.Name, func(f *function.Function) error {
		f.ReservedConcurrency = n
		return nil
	})
	if fault.Is(err, fault.NotFound, "") {
		return s.missing(c, ref)
	}
	return err
}
