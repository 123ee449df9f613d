// Makes the OpenAPI 3.1 document from the schemas that check requests.
import { z } from 'zod';
import { errorSchema } from './errors.js';
import type { RouteDescription } from './routes.js';

const ERRORS: Record<number, string> = {
  400: 'The request contradicts itself or the model',
  401: 'The API key is missing or wrong',
  403: 'Not allowed: a locked model, a path outside the allowed folders, a foreign Host or Origin',
  404: 'There is no such model, file or job',
  413: 'The body or a picture is too large',
  422: 'A field is missing or wrong, or the model is incomplete or unreadable',
  429: 'The queue is full; Retry-After says when to try again',
  499: 'The job was cancelled',
  500: 'The engine or the program failed',
  503: 'The device is not available, or the server is shutting down',
  507: 'Not enough memory or disk space',
};

/** In the order of the documentation page. */
const TAGS = [
  { name: 'images', description: 'Make, change and repaint images' },
  { name: 'jobs', description: 'Requests that outlive their client, with live events' },
  { name: 'state', description: 'Health, models, memory and the unload timer' },
  { name: 'OpenAI', description: "OpenAI's images API" },
  { name: 'WebUI', description: 'The API of the Stable Diffusion WebUI' },
];

/** Turns a schema into JSON Schema. A named schema becomes a component, and the result refers to it. */
type Refer = (schema: z.ZodType, io: 'input' | 'output', name?: string) => object;

export function describeApi(routes: readonly RouteDescription[], version: string): object {
  const schemas: Record<string, object> = {};
  const refer: Refer = (schema, io, name = schema.meta()?.id) => {
    const { $schema: _, $defs, ...json } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' });
    for (const [name, definition] of Object.entries($defs ?? {})) schemas[name] = relocate(definition);
    if (name === undefined) return relocate(json);
    const { id: _id, ...rest } = json;
    schemas[name] = relocate(rest);
    return { $ref: `#/components/schemas/${name}` };
  };
  const error = {
    content: { 'application/json': { schema: refer(errorSchema, 'output') } },
  };
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][route.method] = describeRoute(route, path, refer, error);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'ImageForge',
      version,
      description:
        'Local, private image generation: Stable Diffusion, SDXL and FLUX from GGUF and safetensors files.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: TAGS,
    security: [{}, { bearer: [] }, { key: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      },
    },
  };
}

function describeRoute(
  { method, path: pattern, tag, summary, body, query, answer, errors = [] }: RouteDescription,
  path: string,
  refer: Refer,
  error: object,
): object {
  const names = [...pattern.matchAll(/:(\w+)/g)].map(([, name]) => name!);
  const parameters = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
      name,
      in: 'query',
      required: !(schema as z.ZodType).safeParse(undefined).success,
      schema: refer(schema as z.ZodType, 'input'),
    })),
  ];
  const { status = 200, schema, type = 'application/json', description } = answer;
  const failures = [...new Set([401, 403, ...errors, 500])].sort();
  return {
    tags: [tag],
    summary,
    operationId: `${method}${path.replace(/[^a-z0-9]+/gi, '_')}`.replace(/_$/, ''),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: true,
        content: { [body.type ?? 'application/json']: { schema: refer(body.schema, 'input', body.name) } },
      },
    }),
    responses: {
      [status]: {
        description,
        ...(status !== 204 && { content: { [type]: { schema: schema ? refer(schema, 'output') : {} } } }),
      },
      ...Object.fromEntries(failures.map((code) => [code, { description: ERRORS[code], ...error }])),
    },
  };
}

/** Points references inside a schema at the document's components. */
function relocate<T>(schema: T): T {
  return JSON.parse(JSON.stringify(schema).replaceAll('#/$defs/', '#/components/schemas/')) as T;
}
