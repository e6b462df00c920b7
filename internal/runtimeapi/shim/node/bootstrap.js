'use strict';

// The Node.js shim: binds this process to a function and runs its handler, one
// invocation after the other or, if the function asks for it, several at a time on
// the event loop. It works on Node.js 18 and newer and uses nothing
// but what comes with it.

const { type, flag, send, listen, Decoder } = require('./frames.js');
const { RuntimeError, isError, toResponse, toLog } = require('./failure.js');
const Module = require('module');
const { AsyncResource, AsyncLocalStorage } = require('async_hooks');
const { current, ownedBy, patchConsole, logText, watchRaw, whenWritten } = require('./output.js');
const { constants, newContext } = require('./context.js');
const { load, rehearse } = require('./load.js');

const { exit, nextTick } = process;

let handler; // the user's function; undefined until it is loaded
let fixed; // what all contexts have in common
let slots = 1; // how many invocations run at a time
let timeout = 0; // of one, in milliseconds
let store; // the invocation that what runs now belongs to, if there are several
const running = new Set(); // the invocations that user code works on
const waiting = []; // invocations that came meanwhile
let due = false; // next will be called
// What runs for no invocation runs as if the platform had called it.
const root = new AsyncResource('Platform');

/** One invocation. It is answered once; later answers count for nothing. */
class Invocation {
  constructor(number, waits, meta, event) {
    this.number = number;
    this.requestId = meta.requestId;
    this.waits = waits; // its time begins when it runs
    this.meta = meta;
    this.event = event;
    this.answered = false;
    this.promised = false; // the handler returned a promise
    this.held = undefined; // the callback's result, until the event loop is empty
    this.context = newContext(fixed, meta, (error, result) => this.callback(error, result));
  }

  run() {
    running.add(this);
    if (this.waits) {
      this.meta.deadline = Date.now() + timeout;
    }
    if (store !== undefined) {
      store.run(this, () => this.call());
      return;
    }
    current.number = this.number;
    current.requestId = this.requestId;
    if (this.meta.traceId) {
      process.env._X_AMZN_TRACE_ID = this.meta.traceId;
    } else {
      delete process.env._X_AMZN_TRACE_ID;
    }
    // From here on only user code keeps the event loop running: when it is empty,
    // Node.js says so (beforeExit).
    socket.unref();
    this.call();
  }

  call() {
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
    } else if (this.context.callbackWaitsForEmptyEventLoop && slots === 1) {
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
      running.delete(this);
      if (slots === 1) {
        current.number = 0;
        socket.ref();
      }
      if (waiting.length > 0 && !due) {
        due = true;
        // After what the handler still does in this turn. The event loop has its
        // turn when the invocations that came with one read have been begun.
        root.runInAsyncScope(nextTick, null, next);
      }
    });
  }
}

function next() {
  due = false;
  while (running.size < slots && waiting.length > 0) {
    waiting.shift().run();
  }
}

function sendError(kind, flags, number, error) {
  const response = toResponse(error);
  send(kind, flags, number, JSON.stringify({ errorType: response.errorType.slice(0, 1024) }), JSON.stringify(response));
}

// How long INIT may take until this process counts as a stem, in milliseconds.
const STEM_AFTER = 10;

/**
 * Runs what a binding will run, so that V8 has compiled it by then: a stem has
 * time. It changes nothing that user code could see.
 */
function warm() {
  rehearse();
  const invocation = new Invocation(0, false, JSON.parse('{"requestId":"","arn":""}'), JSON.stringify({}));
  invocation.answered = true;
  invocation.succeed();
  new Decoder(() => {}).push(Buffer.alloc(16));
  process.chdir(process.cwd());
}

async function init({ handler: name, taskRoot, env, concurrency, timeout: millis }) {
  clearTimeout(warming);
  timeout = millis;
  if (concurrency > 1) {
    slots = concurrency;
    store = new AsyncLocalStorage();
    ownedBy(() => store.getStore());
  }
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
  Module._initPaths(); // of NODE_PATH and HOME as they were before
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
  // Of several, the one that it belongs to; all, if that is not known.
  const owner = store?.getStore();
  for (const invocation of running.has(owner) ? [owner] : running) {
    sendError(type.ERROR, flag.FATAL, invocation.number, error);
  }
  exit(status);
}

function onFrame(kind, flags, number, meta, payload) {
  if (kind === type.INVOKE) {
    waiting.push(new Invocation(number, (flags & flag.WAITS) !== 0, JSON.parse(meta), payload));
    if (!due) {
      next();
    }
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
process.on('beforeExit', () => running.forEach((invocation) => invocation.loopEmpty()));

const socket = listen(onFrame);
send(type.STARTED, 0, 0, '', '');
const warming = setTimeout(warm, STEM_AFTER);
