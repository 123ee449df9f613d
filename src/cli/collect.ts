// Parses an option that may be repeated: commander calls it for each value, and it gathers them.

export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
