'use strict';

// Output: console methods become log frames that carry the invocation and its
// time. process.stdout and process.stderr stay what they are: raw pipes, which
// take what does not fit into them at once from the event loop.

const { format } = require('util');
const { sendLog } = require('./frames.js');
const { isError } = require('./failure.js');

const LEVELS = { TRACE: 0, DEBUG: 1, INFO: 2, WARN: 3, ERROR: 4, FATAL: 5 };
// The platform takes no longer text in one frame.
const MAX_BYTES = 256 * 1024;

/** The invocation that output belongs to, when one runs at a time. */
const current = { number: 0, requestId: undefined };
const nobody = { number: 0, requestId: undefined };

/** Returns the invocation that what runs now belongs to: { number, requestId }. */
let owner = () => current;

/** Has find tell, when several run at a time; it returns undefined outside of any. */
function ownedBy(find) {
  owner = () => find() ?? nobody;
}

let json = false;
let threshold = 0;

function log(level, args) {
  if (json && LEVELS[level] < threshold) {
    return;
  }
  const now = new Date();
  const { number, requestId } = owner();
  const text = json
    ? jsonLine(level, now, requestId, args)
    : `${now.toISOString()}\t${requestId}\t${level}\t${format(...args)}`;
  sendLog(LEVELS[level] >= LEVELS.WARN || level === 'TRACE', number, now.getTime(), cut(text));
}

/** Writes a line whose message is ready and keeps its form in both formats. */
function logText(level, label, text) {
  log(level, json ? [`${label} ${text}`] : [`${label} \t${text}`]);
}

function cut(text) {
  if (text.length * 3 <= MAX_BYTES || Buffer.byteLength(text) <= MAX_BYTES) {
    return text;
  }
  const bytes = Buffer.from(text);
  let end = MAX_BYTES;
  while ((bytes[end] & 0xc0) === 0x80) { // not inside a character
    end--;
  }
  return bytes.toString('utf8', 0, end);
}

function jsonLine(level, now, requestId, args) {
  const line = { timestamp: now.toISOString(), level, requestId };
  line.message = args.length === 1 && !isError(args[0]) ? args[0] : format(...args);
  const error = args.find(isError);
  if (error !== undefined) {
    line.errorType = error.name;
    line.errorMessage = error.message;
    line.stackTrace = String(error.stack ?? '').split('\n');
  }
  try {
    return JSON.stringify(line, (_, value) => (isError(value) ? String(value.stack ?? value) : value));
  } catch { // cycles and big integers have no JSON form
    line.message = format(...args);
    return JSON.stringify(line);
  }
}

/** Takes over the console with the format that the environment asks for. */
function patchConsole(env) {
  json = env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
  threshold = LEVELS[env.AWS_LAMBDA_LOG_LEVEL] ?? 0;
  console.log = (...args) => log('INFO', args);
  console.info = (...args) => log('INFO', args);
  console.debug = (...args) => log('DEBUG', args);
  console.warn = (...args) => log('WARN', args);
  console.error = (...args) => log('ERROR', args);
  console.fatal = (...args) => log('FATAL', args);
  console.trace = (...args) => {
    const here = { name: 'Trace', message: format(...args) };
    Error.captureStackTrace(here, console.trace);
    log('TRACE', [here.stack]);
  };
}

const rawStreams = []; // those of process.stdout and process.stderr that user code has used

/** Notes when user code first uses a raw stream: to make one takes a millisecond. */
function watchRaw(name) {
  const { get } = Object.getOwnPropertyDescriptor(process, name);
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get() {
      const stream = get.call(process);
      Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
      rawStreams.push(stream);
      return stream;
    },
  });
}

/** Calls then when the pipes have taken all that was written, mostly at once. */
function whenWritten(then) {
  const busy = rawStreams.find((stream) => stream.writableLength > 0 && !stream.destroyed);
  if (busy === undefined) {
    then();
  } else {
    busy.write('', () => whenWritten(then));
  }
}

module.exports = { current, ownedBy, watchRaw, whenWritten, patchConsole, logText };
