// For options that may be repeated: commander's parser of one value, which gathers all.

export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
