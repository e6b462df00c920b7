'use strict';

// Context: the second argument of a handler.

const { env } = process;

/** What is the same for every invocation of this process. */
function constants() {
  return {
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

/** Returns the context of one invocation; settle(error, result) answers it. */
function newContext(fixed, meta, settle) {
  const at = (waits, error, result) => {
    context.callbackWaitsForEmptyEventLoop = waits;
    settle(error, result);
  };
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    ...fixed,
    clientContext: parse(meta.clientContext),
    identity: parse(meta.cognitoIdentity),
    invokedFunctionArn: meta.arn,
    awsRequestId: meta.requestId,
    getRemainingTimeInMillis: () => Math.max(0, meta.deadline - Date.now()),
    succeed: (result) => at(false, null, result),
    fail: (error) => at(false, error ?? null, undefined),
    done: (error, result) => at(false, error, result),
  };
  return context;
}

function parse(text) {
  if (!text) {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the platform passes on what the caller wrote
  }
}

module.exports = { constants, newContext };
