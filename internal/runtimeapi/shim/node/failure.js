'use strict';

// Failures: the errors that the shim itself raises, and the form in which any
// thrown value reaches the caller and the log.

/** An error whose name is the type that the caller sees, "Runtime.<kind>". */
class RuntimeError extends Error {
  constructor(kind, message, cause) {
    super(message);
    this.name = `Runtime.${kind}`;
    if (cause?.stack) {
      // The place in user code is what its author needs to see.
      this.stack = `${this.name}: ${message}\n${cause.stack}`;
    }
  }
}

function isError(value) {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

/** Returns what the caller of a failed function gets: { errorType, errorMessage, trace }. */
function toResponse(thrown) {
  try {
    if (!isError(thrown)) {
      return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
    }
    return {
      errorType: String(thrown.name),
      errorMessage: String(thrown.message),
      trace: String(thrown.stack ?? '').split('\n'),
    };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'the handler failed with an error whose name, message or stack could not be read',
      trace: [],
    };
  }
}

/** Returns the line's text for the log: the response's fields and the error's own. */
function toLog(thrown) {
  const { errorType, errorMessage, trace } = toResponse(thrown);
  const line = { errorType, errorMessage, stack: trace };
  try {
    return JSON.stringify(isError(thrown) ? { errorType, errorMessage, ...thrown, stack: trace } : line);
  } catch { // an own property that has no JSON form
    return JSON.stringify(line);
  }
}

module.exports = { RuntimeError, isError, toResponse, toLog };
