package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

func TestFramesAreAnswered(t *testing.T) {
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() { defer close(ended); answerFrames(theirs) }()
	for range 3 {
		if err := writeFrame(ours, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		answer, err := readFrame(ours, make([]byte, 512))
		if err != nil || string(answer) != string(hopAnswer) {
			t.Errorf("got %q, %v", answer, err)
		}
	}
	ours.Close()
	<-ended
}

func TestFrameBeyondTheBufferIsRefused(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = writeFrame(theirs, make([]byte, 100)); theirs.Close() }()
	if _, err := readFrame(ours, make([]byte, 50)); err == nil {
		t.Error("got no error")
	}
}

func TestReplyTellsTheInvocation(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-1\r\nContent-Length: 2\r\n\r\n{}rest"
	r := bufio.NewReader(strings.NewReader(text))
	if id, err := readReply(r); err != nil || id != "a-1" {
		t.Errorf("got %q, %v", id, err)
	}
	if rest, err := r.ReadString(0); rest != "rest" {
		t.Errorf("got %q, %v, want what follows", rest, err)
	}
}
