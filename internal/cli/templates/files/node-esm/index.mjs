// Code up here runs once per execution environment: open connections here.
const started = new Date();

// The event is whatever the caller sends: the JSON of `mayfly invoke`, or a
// description of the HTTP request when the function is called by its URL.
export const handler = async (event, context) => {
  console.log("called as", context.functionName);

  const name = event.queryStringParameters?.name ?? event.name ?? "world";
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message: `Hello, ${name}!`, warmSince: started }),
  };
};
