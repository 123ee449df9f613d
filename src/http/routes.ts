// A route is declared once: its handler goes to the server, its description into the OpenAPI document.
import type { Context, Hono } from 'hono';
import type { z } from 'zod';

export interface RouteDescription {
  method: 'get' | 'post' | 'put' | 'delete';
  /** In Hono's syntax: /jobs/:id */
  path: string;
  tag: string;
  summary: string;
  body?: { schema: z.ZodType; name: string; type?: 'application/json' | 'multipart/form-data' };
  query?: z.ZodObject;
  /** `status` defaults to 200. */
  answer: { schema?: z.ZodType; type?: string; status?: number; description: string };
  /** Error statuses besides those that any route may answer with. */
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

  /** The methods of the routes that match a path. Tells "not found" from "method not allowed". */
  methodsOf(path: string): string[] {
    return this.descriptions
      .filter(({ path: pattern }) => new RegExp(`^${pattern.replace(/:\w+/g, '[^/]+')}$`).test(path))
      .map(({ method }) => method.toUpperCase());
  }
}
