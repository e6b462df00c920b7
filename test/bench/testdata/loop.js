// A Lambda Runtime API loop over the standard library's HTTP client, as runtime
// interface clients have it.
const http = require("http");

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const base = "/2018-06-01/runtime/invocation/";

const call = (method, path, body) =>
  new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: base + path, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });

(async () => {
  const { handler } = require("./index.js");
  for (;;) {
    const next = await call("GET", "next");
    const answer = await handler(JSON.parse(next.body), {});
    await call("POST", next.headers["lambda-runtime-aws-request-id"] + "/response", JSON.stringify(answer));
  }
})();
