// How byte-level BPE cuts text into words before it merges bytes: the published patterns, which are part of a
// tokenizer like its vocabulary. Patterns that a file brings are only compared with these, never run.

interface WordPattern {
  /** As tokenizer.json spells it. */
  source: string;
  pattern: RegExp;
}

export const wordPatterns = {
  qwen2: wordPattern(
    String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ),
  tekken: wordPattern(
    String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ),
};

/** Into JavaScript's dialect: no inline flags, and \s as in Unicode. */
function wordPattern(source: string): WordPattern {
  const translated = source
    .replace(/\(\?i:([^)]*)\)/g, (_, inner: string) =>
      inner.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`),
    )
    .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
    .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`);
  return { source, pattern: new RegExp(translated, 'gu') };
}
