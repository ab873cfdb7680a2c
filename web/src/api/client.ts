/** Requests to the API, typed from `openapi.json`. Addresses are relative to the page. */
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
type Prefixed<P> = P extends `/api/v1${infer Rest}` ? Rest : never;
type Path<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? Prefixed<P> : never;
}[keyof paths];
type Method = "get" | "post" | "put";
type Operation<P extends string, M extends Method> = `/api/v1${P}` extends keyof paths
  ? M extends keyof paths[`/api/v1${P}`]
    ? paths[`/api/v1${P}`][M]
    : never
  : never;
type Answer<O> = O extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;
type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Q : never;
type Parts<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? { [K in Name]: string } & Parts<Rest>
  : unknown;

/** Why a request was not answered: what happened, and what can be done. */
export class Failure extends Error {
  constructor(
    readonly detail: string,
    readonly remedy = "",
    readonly status = 0,
    readonly code = "",
  ) {
    super(remedy ? `${detail}: ${remedy}` : detail);
  }
}

export function address(path: string, parts: Record<string, string> = {}, query: object = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    // A key may hold slashes that belong to the path; everything else in it is escaped.
    (parts[name] ?? "").split("/").map(encodeURIComponent).join("/"),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) search.set(name, String(value));
  }
  const text = search.toString();
  return `./api/v1${filled}${text ? `?${text}` : ""}`;
}

async function send(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      ...(signal ? { signal } : {}),
      ...(body === undefined
        ? {}
        : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure("the server does not answer", "is `epochal ui` still running?");
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => null)) as Schemas["Problem"] | null;
  throw new Failure(
    problem?.detail ?? `the server answered ${response.status}`,
    problem?.remedy ?? "",
    response.status,
    problem?.code ?? "",
  );
}

export async function get<P extends Path<"get"> & string>(
  path: P,
  parts?: Parts<P>,
  query?: Query<Operation<P, "get">>,
  signal?: AbortSignal,
): Promise<Answer<Operation<P, "get">>> {
  const url = address(path, parts as Record<string, string>, query ?? {});
  return (await send("GET", url, undefined, signal)).json();
}

export async function post<P extends Path<"post"> & string>(
  path: P,
  body: Body<Operation<P, "post">>,
  parts?: Parts<P>,
  signal?: AbortSignal,
): Promise<Answer<Operation<P, "post">>> {
  return (await send("POST", address(path, parts as Record<string, string>), body, signal)).json();
}

export async function put<P extends Path<"put"> & string>(
  path: P,
  body: Body<Operation<P, "put">>,
  parts?: Parts<P>,
): Promise<Answer<Operation<P, "put">>> {
  return (await send("PUT", address(path, parts as Record<string, string>), body)).json();
}

/** An answer that is not JSON. */
export async function blob(path: string, body?: unknown): Promise<Blob> {
  return (await send(body === undefined ? "GET" : "POST", address(path), body)).blob();
}
