// A client as its author would write it: the types are generated from the contract.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.ts";

type Foss = components["schemas"]["Foss"];

declare const process: { argv: string[] };
const [url, key] = process.argv.slice(2);

// Not the other media types of the same responses: CSV, NDJSON, problem details.
const client = createClient<paths, "application/json">({
  baseUrl: url,
  headers: { Authorization: `Bearer ${key}` },
  // A list is one parameter, separated by commas.
  querySerializer: { array: { style: "form", explode: false } },
});

async function createFoss(name: string, email: string): Promise<Foss> {
  const { data, error } = await client.POST("/foss", { body: { name, email } });
  if (error) throw new Error(error.error.type);
  // An import has the same status and other content.
  if (!("id" in data)) throw new Error(`${data.created} records were imported`);
  return data;
}

const postgresql = await createFoss("PostgreSQL", "info@postgresql.example");
const nginx = await createFoss("nginx", "info@nginx.example");

const page = await client.GET("/foss", {
  params: { query: { sort: ["-created_at", "name"], only: ["id", "name"] } },
});
const names = page.data?.map((foss) => foss.name);

const path = { id: nginx.id };
const read = await client.GET("/foss/{id}", { params: { path } });
const tag = read.response.headers.get("ETag") ?? "";
const changed = await client.PATCH("/foss/{id}", {
  params: { path, header: { "If-Match": tag } },
  body: { name: "NGINX" },
});
const stale = await client.DELETE("/foss/{id}", {
  params: { path, header: { "If-Match": tag } },
});
const deleted = await client.DELETE("/foss/{id}", {
  params: { path: { id: postgresql.id } },
});
const gone = await client.GET("/foss/{id}", {
  params: { path: { id: postgresql.id } },
});
const refused = await client.POST("/foss", { body: { name: "x", email: "x" } });

console.log(
  JSON.stringify({
    names,
    changed: changed.data?.name,
    stale: stale.error?.error.type,
    deleted: deleted.data?.message,
    gone: gone.error?.error.type,
    refused: refused.error?.error.errors?.map((fault) => fault.pointer),
  }),
);
