// A client as its author would write it: the types are generated from the contract.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.ts";

type Item = components["schemas"]["Item"];

declare const process: { argv: string[] };
const [url, key] = process.argv.slice(2);

// Not the other media types of the same responses: CSV, NDJSON, problem details.
const client = createClient<paths, "application/json">({
  baseUrl: url,
  headers: { Authorization: `Bearer ${key}` },
  // A list is one parameter, separated by commas.
  querySerializer: { array: { style: "form", explode: false } },
});

async function createItem(name: string, email: string): Promise<Item> {
  const { data, error } = await client.POST("/item", { body: { name, email } });
  if (error) throw new Error(error.error.type);
  // An import has the same status and other content.
  if (!("id" in data)) throw new Error(`${data.created} records were imported`);
  return data;
}

const postgresql = await createItem("PostgreSQL", "info@postgresql.example");
const nginx = await createItem("nginx", "info@nginx.example");

const page = await client.GET("/item", {
  params: { query: { sort: ["-created_at", "name"], only: ["id", "name"] } },
});
const names = page.data?.map((item) => item.name);

const path = { id: nginx.id };
const read = await client.GET("/item/{id}", { params: { path } });
const tag = read.response.headers.get("ETag") ?? "";
const changed = await client.PATCH("/item/{id}", {
  params: { path, header: { "If-Match": tag } },
  body: { name: "NGINX" },
});
const stale = await client.DELETE("/item/{id}", {
  params: { path, header: { "If-Match": tag } },
});
const deleted = await client.DELETE("/item/{id}", {
  params: { path: { id: postgresql.id } },
});
const gone = await client.GET("/item/{id}", {
  params: { path: { id: postgresql.id } },
});
const refused = await client.POST("/item", { body: { name: "x", email: "x" } });

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
