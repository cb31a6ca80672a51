// Makes an image with the generated types: node make_job.js ADDRESS KEY INPUT. Prints the finished job as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Job = components["schemas"]["JobResource"];
declare const process: { argv: string[] };

const [address, key, input] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${key}` } });

const made = await client.POST("/jobs", {
  params: { header: { "Idempotency-Key": "typescript" } },
  body: { input, kind: "image", options: { width: 64, format: "png" }, metadata: { client: "typescript" } },
});
if (made.error) throw new Error(`${made.error.kind}: ${made.error.message}`);

const refused = await client.POST("/jobs", { body: { input: "file:///etc/passwd", kind: "video" } });
const field: string | undefined = refused.error?.errors?.[0]?.field;
if (field !== "input") throw new Error(`expected the field at fault, got ${field}`);

let job: Job = made.data;
const ended: Job["status"][] = ["succeeded", "failed", "cancelled"];
while (!ended.includes(job.status)) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  const read = await client.GET("/jobs/{id}", { params: { path: { id: job.id } } });
  if (read.error) throw new Error(read.error.message);
  job = read.data;
}
const width: number | null | undefined = job.output?.width;
console.log(JSON.stringify({ ...job, width }));
