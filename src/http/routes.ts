// A route is declared once: its handler goes to the server, its description into the OpenAPI document.
import type { Context, Hono } from 'hono';
import type { z } from 'zod';

export interface RouteDescription {
  method: 'get' | 'post' | 'put' | 'delete';
  /** Hono's spelling: /jobs/:id */
  path: string;
  tag: string;
  summary: string;
  body?: { schema: z.ZodType; name: string; type?: 'application/json' | 'multipart/form-data' };
  query?: z.ZodObject;
  /** Of status 200, unless `status` says another. */
  answer: { schema?: z.ZodType; type?: string; status?: number; description: string };
  /** Statuses of errors besides those that any route may have. */
  errors?: readonly number[];
}

export class Routes {
  readonly descriptions: RouteDescription[] = [];
  readonly #app: Hono;

  constructor(app: Hono) {
    this.#app = app;
  }

  add(description: RouteDescription, handle: (c: Context) => Response | Promise<Response>): void {
    this.descriptions.push(description);
    this.#app.on(description.method.toUpperCase(), description.path, handle);
  }

  /** Methods of the routes that match a path, to tell "not found" from "not allowed". */
  methodsOf(path: string): string[] {
    return this.descriptions
      .filter(({ path: pattern }) => new RegExp(`^${pattern.replace(/:\w+/g, '[^/]+')}$`).test(path))
      .map(({ method }) => method.toUpperCase());
  }
}
