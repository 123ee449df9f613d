// What of a prompt another program would not take as words.

/** Schedules, AND and BREAK; then emphasis that nobody would write by chance. */
const marks: readonly { pattern: RegExp; schedule: boolean }[] = [
  { pattern: /\[[^[\]|]*:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\]/, schedule: true },
  { pattern: /\[[^[\]|]*\|[^[\]]*\]/, schedule: true },
  { pattern: /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u, schedule: true },
  { pattern: /(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])/u, schedule: true },
  { pattern: /\([^()[\]]*:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)/, schedule: false },
  { pattern: /\(\([^()]*\)\)/, schedule: false },
];
const longestMark = 40;

/** Pieces of a prompt that other programs would not take as words, each kind once, as far as they stand there. */
export function findMarks(prompt: string, kinds: 'all' | 'schedules'): string[] {
  if (isJson(prompt)) return [];
  return marks.flatMap(({ pattern, schedule }) => {
    const found = schedule || kinds === 'all' ? pattern.exec(prompt)?.[0] : undefined;
    return found === undefined ? [] : [shorten(found)];
  });
}

/** Prompts in JSON, which language models understand, are full of brackets that mean nothing else. */
export function isJson(prompt: string): boolean {
  if (!/^\s*[{[]/.test(prompt)) return false;
  try {
    JSON.parse(prompt);
    return true;
  } catch {
    return false;
  }
}

export function shorten(text: string): string {
  return text.length > longestMark ? `${text.slice(0, longestMark - 1)}…` : text;
}
