// One field of a request: its schema, its description, and what each door needs to know about it. The doors read this
// table, so that a new field reaches all of them from one place.
import { z } from 'zod';

export interface FieldFacts {
  /** Whether MCP tools offer it, because agents have a use for it. */
  agents?: boolean;
  /** Its command-line option, if that is not `--its-name <kind>`; null if it has none. */
  flag?: string | null;
  /** The field that this is another spelling of. */
  sameAs?: string;
  /** Whether the sidecar records its value under the field's name. */
  sidecar?: boolean;
}

const facts = z.registry<FieldFacts>();

/** Makes a field that may be left out or null. `about` is its description in OpenAPI, in MCP tools and in --help. */
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

/** Makes another spelling of a field, with the same bounds. */
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

/** Unwraps "may be left out" and "may be null". */
export function innerType(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable
    ? innerType(schema.unwrap() as z.ZodType)
    : schema;
}

/** A field's name and its other spellings in a schema. */
export function spellingsOf(name: string, { shape }: z.ZodObject): string[] {
  const others = Object.entries(shape).filter(([, schema]) => factsOf(schema as z.ZodType).sameAs === name);
  return [name, ...others.map(([other]) => other)];
}
