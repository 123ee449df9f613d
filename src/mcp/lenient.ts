// Makes a tool's input schema that describes arguments but refuses none. The service checks them against the same schema,
// and its errors say what to do.
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import type { z } from 'zod';

type Arguments = Record<string, unknown>;

export function lenient(schema: z.ZodObject): StandardSchemaWithJSON<Arguments> {
  const { version, vendor, jsonSchema } = schema['~standard'];
  const validate = (value: unknown) => ({ value: (value ?? {}) as Arguments });
  return { '~standard': { version, vendor, jsonSchema, validate } };
}
