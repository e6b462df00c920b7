// A web function in JavaScript.
//
//   mayfly deploy examples/hello-node
//   mayfly invoke hello-node --data '{"name": "you"}'
//   curl "$(mayfly url hello-node)?name=you"

// Code up here runs once per execution environment; handler runs per call.
let calls = 0;

export const handler = async (event, context) => {
  calls++;
  console.log("call", calls, "in", context.functionName);

  const name = event.queryStringParameters?.name ?? event.name ?? "world";
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message: `Hello, ${name}, from Node.js ${process.version}!`, calls }),
  };
};
