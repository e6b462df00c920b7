package lambda

import "strconv"

// phase is where a runtime stands in its life.
type phase uint8

const (
	starting   phase = iota // it has not asked for an invocation yet
	serving                 // it has
	initFailed              // it reported that its init failed
)

func (p phase) String() string {
	switch p {
	case starting:
		return "starting"
	case serving:
		return "serving"
	case initFailed:
		return "failed to initialize"
	default:
		return "phase " + strconv.Itoa(int(p))
	}
}

// stage is where an invocation stands between us and the runtime.
type stage uint8

const (
	queued    stage = iota // it waits for a /next
	running                // the runtime has it
	answering              // its answer is being received
	answered               // its caller has the answer
)

// move is what changes a phase or a stage.
type move uint8

const (
	askNext      move = iota // GET /next
	reportFailed             // POST /init/error
	handOut                  // an invocation goes out
	lose                     // it could not be written to the runtime
	beginAnswer              // POST /response or /error
	endAnswer                // its body is here, or broke off
)

// phases and stages list what is allowed; everything else is refused.
var (
	phases = map[phase]map[move]phase{
		starting: {askNext: serving, reportFailed: initFailed},
		serving:  {askNext: serving},
	}
	stages = map[stage]map[move]stage{
		queued:    {handOut: running},
		running:   {lose: queued, beginAnswer: answering},
		answering: {endAnswer: answered},
	}
)

// after returns the phase that a move leads to, and whether it is allowed.
func (p phase) after(m move) (phase, bool) {
	next, ok := phases[p][m]
	return next, ok
}

// after returns the stage that a move leads to, and whether it is allowed.
func (s stage) after(m move) (stage, bool) {
	next, ok := stages[s][m]
	return next, ok
}
