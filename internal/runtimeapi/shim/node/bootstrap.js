'use strict';

// The Node.js shim: binds this process to a function and runs its handler, one
// invocation after the other. It works on Node.js 18 and newer and uses nothing
// but what comes with it.

const { type, flag, send, listen } = require('./frames.js');
const { RuntimeError, isError, toResponse, toLog } = require('./failure.js');
const { current, patchConsole, logText, watchRaw, whenWritten } = require('./output.js');
const { constants, newContext } = require('./context.js');
const { load } = require('./load.js');

const { exit } = process;

let handler; // the user's function; undefined until it is loaded
let fixed; // what all contexts have in common
let running = null; // the invocation that user code works on
const waiting = []; // invocations that came meanwhile

/** One invocation. It is answered once; later answers count for nothing. */
class Invocation {
  constructor(number, meta, event) {
    this.number = number;
    this.meta = meta;
    this.event = event;
    this.answered = false;
    this.promised = false; // the handler returned a promise
    this.held = undefined; // the callback's result, until the event loop is empty
    this.context = newContext(fixed, meta, (error, result) => this.callback(error, result));
  }

  run() {
    running = this;
    current.number = this.number;
    current.requestId = this.meta.requestId;
    if (this.meta.traceId) {
      process.env._X_AMZN_TRACE_ID = this.meta.traceId;
    } else {
      delete process.env._X_AMZN_TRACE_ID;
    }
    // From here on only user code keeps the event loop running: when it is empty,
    // Node.js says so (beforeExit).
    socket.unref();
    try {
      const result = handler(JSON.parse(this.event), this.context, (error, value) => this.callback(error, value));
      if (typeof result?.then === 'function') {
        this.promised = true;
        result.then((value) => this.succeed(value), (error) => this.fail(error));
      }
    } catch (error) {
      this.fail(error);
    }
  }

  callback(error, result) {
    if (this.answered || this.held !== undefined) {
      return;
    }
    if (error !== undefined && error !== null) {
      this.fail(error);
    } else if (this.context.callbackWaitsForEmptyEventLoop) {
      this.held = { result };
    } else {
      this.succeed(result);
    }
  }

  /** User code has nothing left to do. */
  loopEmpty() {
    if (this.held === undefined && this.promised) {
      this.fail(new RuntimeError('NodeJsExit',
        'the event loop is empty but the promise that the handler returned was never settled'));
    } else {
      this.succeed(this.held?.result);
    }
  }

  succeed(result) {
    if (this.answered) {
      return;
    }
    let text;
    try {
      text = JSON.stringify(result) ?? 'null';
    } catch (error) {
      this.fail(new RuntimeError('MarshalError', `Unable to stringify the response: ${toResponse(error).errorMessage}`, error));
      return;
    }
    this.answer(() => send(type.RESULT, 0, this.number, '', text));
  }

  fail(error) {
    if (this.answered) {
      return;
    }
    logText('ERROR', 'Invoke Error', toLog(error));
    this.answer(() => sendError(type.ERROR, 0, this.number, error));
  }

  answer(write) {
    this.answered = true;
    whenWritten(() => {
      write();
      running = null;
      current.number = 0;
      socket.ref();
      if (waiting.length > 0) {
        setImmediate(next);
      }
    });
  }
}

function next() {
  if (running === null && waiting.length > 0) {
    waiting.shift().run();
  }
}

function sendError(kind, flags, number, error) {
  const response = toResponse(error);
  send(kind, flags, number, JSON.stringify({ errorType: response.errorType.slice(0, 1024) }), JSON.stringify(response));
}

async function init({ handler: name, taskRoot, env }) {
  adopt(env);
  // Also if it is there by name: the directory may have been mounted meanwhile.
  process.chdir(taskRoot);
  patchConsole(env);
  fixed = constants();
  try {
    handler = await load(taskRoot, name);
  } catch (error) {
    initFailed(error, 1);
    return;
  }
  send(type.READY, 0, 0, '', '');
}

/** Makes env the whole environment of this process. */
function adopt(env) {
  for (const name of Object.keys(process.env)) {
    if (!Object.hasOwn(env, name)) {
      delete process.env[name];
    }
  }
  for (const [name, value] of Object.entries(env)) {
    if (process.env[name] !== value) {
      process.env[name] = value;
    }
  }
  require('module')._initPaths(); // of NODE_PATH and HOME as they were before
}

function initFailed(error, status) {
  logText('ERROR', 'Uncaught Exception', toLog(error));
  sendError(type.INIT_ERROR, 0, 0, error);
  exit(status);
}

/** User code failed outside of any handler: the process can't be trusted any more. */
function fatal(error, label, status) {
  if (handler === undefined) {
    initFailed(error, status);
    return;
  }
  logText('ERROR', label, toLog(error));
  if (running !== null) {
    sendError(type.ERROR, flag.FATAL, running.number, error);
  }
  exit(status);
}

function onFrame(kind, number, meta, payload) {
  if (kind === type.INVOKE) {
    waiting.push(new Invocation(number, JSON.parse(meta), payload));
    next();
  } else if (kind === type.INIT) {
    init(JSON.parse(meta));
  }
}

globalThis.awslambda = {
  streamifyResponse() {
    throw new RuntimeError('StreamingUnsupported',
      'awslambda.streamifyResponse is not supported on this platform yet: return the whole response from the handler');
  },
};

watchRaw('stdout');
watchRaw('stderr');
process.on('uncaughtException', (error) => fatal(error, 'Uncaught Exception', 129));
process.on('unhandledRejection', (reason) => {
  const { errorType, errorMessage } = toResponse(reason);
  const message = isError(reason) ? `${errorType}: ${errorMessage}` : errorMessage;
  fatal(new RuntimeError('UnhandledPromiseRejection', message, reason), 'Unhandled Promise Rejection', 128);
});
process.on('beforeExit', () => running?.loopEmpty());

const socket = listen(onFrame);
send(type.STARTED, 0, 0, '', '');
