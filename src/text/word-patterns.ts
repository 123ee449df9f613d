// The published patterns by which byte-level BPE splits text into words before it merges bytes. They belong to a
// tokenizer as its vocabulary does. A pattern in a file is only compared with these and never run.

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

/** Translates a pattern for JavaScript, which has no inline flags and another \s. */
function wordPattern(source: string): WordPattern {
  const translated = source
    .replace(/\(\?i:([^)]*)\)/g, (_, inner: string) =>
      inner.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`),
    )
    .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
    .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`);
  return { source, pattern: new RegExp(translated, 'gu') };
}
