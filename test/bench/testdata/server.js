// The direct server that functions in JavaScript are compared with.
const server = require("http").createServer((request, response) => {
  response.setHeader("content-type", "text/plain");
  response.end("hello");
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
process.stdin.resume().on("end", () => process.exit()); // whoever started it has ended
