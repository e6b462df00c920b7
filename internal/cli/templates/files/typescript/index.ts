// `mayfly deploy` bundles this file with everything it imports. It doesn't
// check types: run `npx tsc --noEmit` for that, or let your editor do it.

/** What this function reads of its event: from `mayfly invoke`, or from its URL. */
interface HelloEvent {
  name?: string;
  queryStringParameters?: { name?: string };
}

interface HttpResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

export const handler = async (event: HelloEvent): Promise<HttpResponse> => {
  const name = event.queryStringParameters?.name ?? event.name ?? "world";
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message: `Hello, ${name}!` }),
  };
};
