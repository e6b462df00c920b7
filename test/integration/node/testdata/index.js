'use strict';
const fs = require('node:fs');
const { spawn } = require('node:child_process');

const deeds = {
  echo: (e) => e,
  sleep: (e) => new Promise((done) => setTimeout(() => done(e), e.ms)),
  where: () => process.env.AWS_LAMBDA_LOG_STREAM_NAME,
  burn: () => { for (;;); },
  throw: () => { throw new TypeError('told to fail'); },
  exit: (e) => { process.exit(e.code); },
  print: (e) => { for (const line of e.lines) console.log(line); return e.lines.length; },
  // Asks the platform's API inside the sandbox, as the function that this is.
  ask: async (e) => {
    const headers = { authorization: `Bearer ${process.env.AWS_SESSION_TOKEN}` };
    const answer = await fetch(process.env.AWS_ENDPOINT_URL + e.path, { method: e.method, headers, body: e.body });
    return { status: answer.status, body: await answer.text() };
  },
  large: (e) => 'x'.repeat(e.size - 2),
  // What a child does counts as the function's: these outlive every signal but SIGKILL.
  fork: () => {
    process.on('SIGTERM', () => {});
    for (let i = 0; i < 3; i++) spawn('/bin/sh', ['-c', 'trap "" TERM HUP INT; while :; do sleep 60; done'], { detached: true, stdio: 'ignore' });
    return new Promise(() => {});
  },
  fill: () => {
    const chunk = Buffer.alloc(1 << 20, 1);
    const file = fs.openSync('/tmp/filler', 'w');
    let written = 0;
    try {
      for (;;) { written += fs.writeSync(file, chunk); }
    } catch (e) {
      return { code: e.code, mb: written >> 20 };
    } finally {
      fs.closeSync(file);
      fs.unlinkSync('/tmp/filler');
    }
  },
};

exports.handler = async (event) => {
  if (event === null || typeof event !== 'object' || !(event.do in deeds)) return event;
  return deeds[event.do](event);
};
