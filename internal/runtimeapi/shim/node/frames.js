'use strict';

// Frames: the shim's half of the protocol that docs/runtime-contract.md
// specifies. Frames are written synchronously, so that what user code printed is
// with the platform even if the process ends in the next moment, and read from
// the event loop, so that timers and sockets of user code are served meanwhile.

// User code may replace functions of these modules: the ones used are kept.
const { writeSync } = require('fs');
const { Socket } = require('net');
const { exit } = process;

const FD = 3;
const HEADER = 16;
const READ_BYTES = 64 * 1024;

const type = { INIT: 1, READY: 2, INIT_ERROR: 3, INVOKE: 4, RESULT: 5, ERROR: 6, LOG: 7, STARTED: 8 };
const flag = { STDERR: 1, FATAL: 1, WAITS: 1 };

let scratch = Buffer.allocUnsafeSlow(64 * 1024);
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Sends a frame and returns when the platform's socket has taken it.
 * meta is a string, text is the payload as a string.
 */
function send(kind, flags, invocation, meta, text) {
  // A UTF-16 unit becomes three bytes at most.
  const bound = HEADER + (meta.length + text.length) * 3;
  const frame = bound <= scratch.length
    ? scratch
    : Buffer.allocUnsafe(HEADER + Buffer.byteLength(meta) + Buffer.byteLength(text));
  const metaBytes = meta === '' ? 0 : frame.write(meta, HEADER);
  const textBytes = frame.write(text, HEADER + metaBytes);
  finish(frame, kind, flags, invocation, metaBytes, textBytes);
}

/** Sends a log line with the time in milliseconds since 1970. */
function sendLog(stderr, invocation, millis, text) {
  const bytes = 8 + text.length * 3;
  const frame = HEADER + bytes <= scratch.length ? scratch : Buffer.allocUnsafe(HEADER + bytes);
  const micros = millis * 1000;
  frame.writeUInt32BE(Math.floor(micros / 0x100000000), HEADER);
  frame.writeUInt32BE(micros % 0x100000000, HEADER + 4);
  const textBytes = frame.write(text, HEADER + 8);
  finish(frame, type.LOG, stderr ? flag.STDERR : 0, invocation, 8, textBytes);
}

function finish(frame, kind, flags, invocation, metaBytes, textBytes) {
  frame.writeUInt32BE(metaBytes + textBytes, 0);
  frame.writeUInt32BE(metaBytes, 4);
  frame.writeUInt32BE(invocation, 8);
  frame.writeUInt32BE((kind << 24) | (flags << 16), 12);
  write(frame, HEADER + metaBytes + textBytes);
}

function write(frame, end) {
  for (let at = 0; at < end;) {
    try {
      at += writeSync(FD, frame, at, end - at);
    } catch (err) {
      if (err.code !== 'EAGAIN') {
        exit(1); // nobody listens any more
      }
      Atomics.wait(sleeper, 0, 0, 0.05); // the socket is full; the platform reads on
    }
  }
}

/** Splits a stream into frames and hands each to onFrame(kind, flags, invocation, meta, payload). */
class Decoder {
  constructor(onFrame) {
    this.onFrame = onFrame;
    this.header = Buffer.allocUnsafeSlow(HEADER);
    this.reset();
  }

  reset() {
    this.frame = this.header;
    this.have = 0;
  }

  push(chunk) {
    let at = 0;
    while (at < chunk.length) {
      if (this.have === 0) {
        const end = chunk.length - at < HEADER ? Infinity : at + HEADER + chunk.readUInt32BE(at);
        if (end <= chunk.length) { // a whole frame: no copy
          this.emit(chunk.subarray(at, end));
          at = end;
          continue;
        }
      }
      at += this.gather(chunk, at);
    }
  }

  gather(chunk, at) {
    const n = chunk.copy(this.frame, this.have, at);
    this.have += n;
    if (this.have === HEADER && this.frame === this.header) {
      this.frame = Buffer.allocUnsafeSlow(HEADER + this.header.readUInt32BE(0));
      this.header.copy(this.frame);
    }
    if (this.have === this.frame.length && this.frame !== this.header) {
      const frame = this.frame;
      this.reset();
      this.emit(frame);
    }
    return n;
  }

  emit(frame) {
    const meta = HEADER + frame.readUInt32BE(4);
    this.onFrame(frame[12], frame[13], frame.readUInt32BE(8), frame.utf8Slice(HEADER, meta), frame.utf8Slice(meta, frame.length));
  }
}

/**
 * Reads frames until the platform closes the socket, which ends the process.
 * Returns the socket, whose ref and unref decide whether it keeps the event loop
 * running.
 */
function listen(onFrame) {
  const decoder = new Decoder(onFrame);
  const socket = new Socket({
    fd: FD,
    readable: true,
    writable: false,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (n, buffer) => {
        decoder.push(buffer.subarray(0, n));
        return true;
      },
    },
  });
  socket.on('error', () => exit(1));
  socket.on('end', () => exit(0));
  socket.resume();
  return socket;
}

module.exports = { type, flag, send, sendLog, listen, Decoder };
