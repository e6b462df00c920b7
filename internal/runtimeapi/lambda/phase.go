package lambda

import "strconv"

// phase is where a runtime stands in its conversation with us.
type phase uint8

const (
	starting   phase = iota // it has not asked for an invocation yet
	waiting                 // a /next waits for an invocation
	running                 // it has an invocation
	answering               // its answer is being received
	answered                // it should ask for the next invocation
	initFailed              // it reported that its init failed
)

func (p phase) String() string {
	switch p {
	case starting:
		return "starting"
	case waiting:
		return "waiting for an invocation"
	case running:
		return "running an invocation"
	case answering:
		return "answering"
	case answered:
		return "answered"
	case initFailed:
		return "failed to initialize"
	default:
		return "phase " + strconv.Itoa(int(p))
	}
}

// move is what changes a phase.
type move uint8

const (
	askNext      move = iota // GET /next
	loseNext                 // the connection of a waiting /next ended
	takeCall                 // an invocation goes out
	loseCall                 // it could not be written to the runtime
	beginAnswer              // POST /response or /error
	endAnswer                // its body is here, or broke off
	reportFailed             // POST /init/error
)

// moves lists what is allowed; everything else is refused.
var moves = map[phase]map[move]phase{
	starting:  {askNext: waiting, reportFailed: initFailed},
	waiting:   {loseNext: answered, takeCall: running},
	running:   {loseCall: answered, beginAnswer: answering},
	answering: {endAnswer: answered},
	answered:  {askNext: waiting},
}

// after returns the phase that a move leads to, and whether it is allowed.
func (p phase) after(m move) (phase, bool) {
	next, ok := moves[p][m]
	return next, ok
}
