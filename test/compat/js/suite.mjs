// Calls a node with the AWS SDK for JavaScript. The endpoint, region and
// credentials come from the environment alone, as they would for any user.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import {
  CreateFunctionCommand, CreateFunctionUrlConfigCommand, DeleteFunctionCommand, GetFunctionCommand,
  GetFunctionConfigurationCommand, InvokeCommand, LambdaClient, PublishVersionCommand,
  PutFunctionConcurrencyCommand, UpdateFunctionCodeCommand, UpdateFunctionConfigurationCommand,
  paginateListFunctions, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const lambda = new LambdaClient({ maxAttempts: 1 });
const FunctionName = "js-sdk";
const ZipFile = readFileSync(process.env.CODE);
const wait = { client: lambda, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };
const text = (bytes) => Buffer.from(bytes).toString();

before(async () => {
  const made = await lambda.send(new CreateFunctionCommand({
    FunctionName, Role: process.env.ROLE, Runtime: "nodejs18.x", Handler: "index.handler", Timeout: 10, Code: { ZipFile },
    Environment: { Variables: { VARIABLE: "js" } },
  }));
  assert.equal(made.Version, "$LATEST");
  await waitUntilFunctionActiveV2(wait, { FunctionName });
});

after(async () => {
  await lambda.send(new DeleteFunctionCommand({ FunctionName }));
  await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName })), { name: "ResourceNotFoundException" });
});

test("who am I", async () => {
  const me = await new STSClient({}).send(new GetCallerIdentityCommand({}));
  assert.equal(me.Account, "000000000000");
});

test("invoke", async () => {
  const ClientContext = Buffer.from('{"custom":{"k":"v"}}').toString("base64");
  const out = await lambda.send(new InvokeCommand({ FunctionName, Payload: '{"a":"ä"}', LogType: "Tail", ClientContext }));
  assert.equal(out.StatusCode, 200);
  assert.equal(out.FunctionError, undefined);
  const answer = JSON.parse(text(out.Payload));
  assert.deepEqual(answer.event, { a: "ä" });
  assert.equal(answer.variable, "js");
  assert.equal(answer.client.custom.k, "v");
  assert.match(Buffer.from(out.LogResult, "base64").toString(), /END RequestId: /);
});

test("a function's failure is a result", async () => {
  const out = await lambda.send(new InvokeCommand({ FunctionName, Payload: '{"fail":true}' }));
  assert.equal(out.FunctionError, "Unhandled");
  assert.equal(JSON.parse(text(out.Payload)).errorType, "TypeError");
});

test("dry run", async () => {
  const out = await lambda.send(new InvokeCommand({ FunctionName, InvocationType: "DryRun" }));
  assert.equal(out.StatusCode, 204);
});

test("update by full ARN", async () => {
  const { FunctionArn } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
  await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: FunctionArn, MemorySize: 256 }));
  await waitUntilFunctionUpdatedV2(wait, { FunctionName });
  await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: FunctionArn, ZipFile }));
  await waitUntilFunctionUpdatedV2(wait, { FunctionName });
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName }));
  assert.equal(Configuration.MemorySize, 256);
});

test("pages", async () => {
  const names = [];
  for await (const page of paginateListFunctions({ client: lambda, pageSize: 1 }, {})) {
    names.push(...page.Functions.map((f) => f.FunctionName));
  }
  assert.ok(names.includes(FunctionName));
});

test("function URL", async () => {
  const made = await lambda.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE" }));
  assert.equal(new URL(made.FunctionUrl).port, process.env.MAYFLY_GATEWAY_PORT);
  await assert.rejects(lambda.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE" })), { name: "ResourceConflictException" });
});

test("reserved concurrency throttles", async () => {
  await lambda.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 0 }));
  await assert.rejects(lambda.send(new InvokeCommand({ FunctionName })), {
    name: "TooManyRequestsException", Reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
  });
  await lambda.send(new PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 10 }));
});

test("what mayfly lacks is named", async () => {
  await assert.rejects(lambda.send(new PublishVersionCommand({ FunctionName })), {
    name: "NotImplementedException", message: "PublishVersion is not supported by mayfly yet.",
  });
});
