// One field of a request: its schema, its text, and what each door needs to know of it. The doors read this table, so
// that a new field reaches all of them from one place.
import { z } from 'zod';

export interface FieldFacts {
  /** MCP's tools offer it: an agent has a use for it. */
  agents?: boolean;
  /** Its option on the command line where that is not `--its-name <kind>`; null: it has none there. */
  flag?: string | null;
  /** It is another spelling of this field. */
  sameAs?: string;
  /** The sidecar tells its value, under the field's name. */
  sidecar?: boolean;
}

const facts = z.registry<FieldFacts>();

/** A field that may be left out or null. `about` is its text in OpenAPI, in MCP's tools and in --help. */
export function field<Schema extends z.ZodType>(schema: Schema, about: string, given: FieldFacts = {}) {
  return required(schema.nullish(), about, given);
}

export function required<Schema extends z.ZodType>(
  schema: Schema,
  about: string,
  given: FieldFacts = {},
): Schema {
  const described = schema.describe(about);
  facts.add(described, given);
  return described;
}

/** Another spelling of a field, with the same bounds. */
export function alias<Schema extends z.ZodType>(
  schema: Schema,
  name: string,
  given: Pick<FieldFacts, 'agents'> = {},
): Schema {
  return required(schema, `The same as ${name}`, { ...given, sameAs: name, flag: null });
}

export function factsOf(schema: z.ZodType): FieldFacts {
  return facts.get(schema) ?? {};
}

/** The schema without "may be left out" and "may be null". */
export function innerType(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable
    ? innerType(schema.unwrap() as z.ZodType)
    : schema;
}

/** A field's name and its other spellings among the fields of a schema. */
export function spellingsOf(name: string, { shape }: z.ZodObject): string[] {
  const others = Object.entries(shape).filter(([, schema]) => factsOf(schema as z.ZodType).sameAs === name);
  return [name, ...others.map(([other]) => other)];
}
